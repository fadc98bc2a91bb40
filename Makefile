# make [help] lists what there is. Everything that is needed besides Go, git and a C compiler (for the race detector) is fetched
# by these targets; tests that need Docker or Chromium say so and skip where there is none.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := .cache/bin/$(GOLANGCI_LINT_VERSION)/golangci-lint

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
FUZZTIME ?= 10s
BENCH ?= .

# The container tests remove what they start by themselves; the reaper would be one more image to fetch.
export TESTCONTAINERS_RYUK_DISABLED ?= true

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/postlink, a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/postlink ./cmd/postlink

.PHONY: run
run: build ## build, then play the demo: posts in, records out, nothing else needed
	bin/postlink demo

# Tests that skip for want of Docker or Chromium write down why; go test alone would hide it without -v.
.PHONY: test
test: ## run all tests
	@skipped=$$(mktemp); trap 'sort -u "$$skipped"; rm -f "$$skipped"' EXIT; \
	echo "go test ./..."; POSTLINK_SKIPPED="$$skipped" go test ./...

.PHONY: check
check: format lint tidy house catalog race ## all that a change has to pass: format, vet, lint, tidy, imports, sample catalog, race, coverage

.PHONY: format
format: $(GOLANGCI_LINT)
	$(GOLANGCI_LINT) fmt --diff

.PHONY: lint
lint: $(GOLANGCI_LINT) ## go vet and golangci-lint
	go vet ./...
	$(GOLANGCI_LINT) run

.PHONY: tidy
tidy:
	go mod tidy -diff

.PHONY: house
house: # the import table and its like, first because they take a second
	go test .

.PHONY: catalog
catalog: build
	bin/postlink check deploy/catalog

# Every test under the race detector, with the coverage of each package by its own tests. The floor is silent when it holds.
.PHONY: race
race:
	go test -race -count=1 -covermode=atomic -coverprofile=coverage.out ./...
	@awk -v floor=85 -f .ci/coverage.awk coverage.out

.PHONY: bench
bench: ## run the benchmarks, or those that match BENCH=regexp
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME=10s
	@grep -rE --include='*_test.go' '^func Fuzz' cmd rules worker payload dynamics deploy \
	| sed -E 's,^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*,\1 \2,' | sort \
	| while read -r dir target; do \
		echo "fuzz $$target in $$dir"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$dir" </dev/null; \
	done

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## format the code
	$(GOLANGCI_LINT) fmt

.PHONY: clean
clean: ## remove what was built and fetched here
	rm -rf bin .cache coverage.out

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
