package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/console/api"
	"postlink/worker/ledger"
)

// newApply makes the command that puts a catalog in force: through the API, where the caller's role counts, or with --nats or
// --config directly in NATS, for the first catalog of a new installation.
//
// The files are read and validated here first. A catalog that is wrong so ends with exit code 78 and the places in the files, and
// nobody is asked for anything. The server gets all files as one document; it validates that again, against the catalog in force.
func newApply() *cobra.Command {
	var (
		nats natsFlags
		r    = newRemote()
		want application
	)
	cmd := &cobra.Command{
		Use:   "apply DIR",
		Short: "Put a catalog in force, for all workers",
		Long: "Reads the catalog in DIR, prints what it changes, and puts it in force as one revision. Workers take it up at once.\n" +
			"A catalog that is not valid, or that removes an entity that an active rule uses, changes nothing. One that removes an\n" +
			"instance forgets the links of the instance, so it is asked for first.\n\n" +
			"Like all commands, apply asks the API of a running postlink. Only with --nats or --config it writes to NATS itself, for\n" +
			"when no postlink runs yet; then nobody checks a token.",
		Example: "  postlink apply catalog --dry-run\n" +
			"  postlink apply catalog -m \"rules for the summer\"\n" +
			"  postlink apply catalog --nats nats://nats:4222",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if nats.given() && r.Server != "" {
				return cli.Usage("--server and --nats or --config name two ways to the catalog; give one of them")
			}
			next, err := loadCatalog(args[0])
			if err != nil {
				return err
			}
			if nats.given() {
				b, _, err := nats.connect(cmd.Context())
				if err != nil {
					return err
				}
				defer b.Close()
				store, err := catalog.Open(cmd.Context(), b, catalog.Options{})
				if err != nil {
					return err
				}
				return want.apply(cmd, &sharedCatalog{b, store, next})
			}
			return r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
				var text bytes.Buffer
				if err := next.Export(&text); err != nil {
					return fmt.Errorf("write the catalog: %w", err)
				}
				err := want.apply(cmd, &servedCatalog{client: c, url: r.URL(), yaml: text.Bytes()})
				if errors.Is(err, api.ErrUnreachable) {
					err = fmt.Errorf("%w Where no postlink runs yet, write to NATS itself with --nats or --config", err)
				}
				return err
			})(cmd, args)
		},
	}
	nats.register(cmd, "write to the NATS at `URL` itself, in place of asking a running postlink")
	r.Register(cmd)
	cmd.Flags().BoolVar(&want.dryRun, "dry-run", false, "only print what would change; any role may")
	cmd.Flags().StringVarP(&want.message, "message", "m", "", "why, for the history")
	return want.sure.Register(cmd)
}

// catalogPlan is what a catalog would change, and of which revision. base is empty where no catalog was ever applied.
type catalogPlan struct {
	lines   []string
	removed []removedInstance
	base    string // names the revision that the plan is for
}

// removedInstance is an instance that the catalog to be applied lacks, with its active links, which would be forgotten.
type removedInstance struct {
	name  string
	links int
}

// catalogTo is a way to put a catalog in force. put fails with a conflict when another revision came into force after plan, so what a
// person agreed to is what happens. An empty base is not compared: the first catalog of all has nothing to conflict with.
type catalogTo interface {
	plan(ctx context.Context) (catalogPlan, error)
	put(ctx context.Context, base, message string) (revision string, err error) // fails when base is not in force any more
	where() string
}

// application is how a catalog is put in force.
type application struct {
	dryRun  bool
	message string
	sure    cli.Confirmation
}

// apply prints the plan, asks before an instance is removed, and puts the catalog in force as it was planned. The plan goes to
// standard output before the question, as what it is about; the question and the result go to standard error. A plan that changes
// nothing is applied all the same: the first catalog may be empty, and after that the revision in force stays. An answer of no,
// like a refusal by the guard, ends with exit code 1.
func (a *application) apply(cmd *cobra.Command, to catalogTo) error {
	plan, err := to.plan(cmd.Context())
	if err != nil {
		return err
	}
	if len(plan.lines) == 0 {
		plan.lines = []string{"nothing changes"}
	}
	for _, line := range plan.lines {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), cli.Harmless(line)); err != nil {
			return err
		}
	}
	if a.dryRun {
		fmt.Fprintf(cmd.ErrOrStderr(), "this is what would change %s; nothing was changed\n", to.where())
		return nil
	}
	if len(plan.removed) > 0 {
		if err := a.sure.Ask(cmd, removalQuestion(plan.removed)); err != nil {
			return err
		}
	}
	revision, err := to.put(cmd.Context(), plan.base, a.message)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "catalog %.12s is in force %s\n", revision, to.where())
	return nil
}

// removalQuestion is asked before instances are removed. It names each with its number of links.
func removalQuestion(removed []removedInstance) string {
	texts := make([]string, len(removed))
	for i, in := range removed {
		texts[i] = fmt.Sprintf("%s with %s", in.name, many(in.links, "link"))
	}
	noun := "instance"
	if len(removed) > 1 {
		noun = "instances"
	}
	return fmt.Sprintf("Delete %s %s? The links are forgotten; Dynamics is not touched.", noun, strings.Join(texts, ", "))
}

// servedCatalog is the catalog of a running postlink. yaml is the whole catalog to be applied, as export writes it.
type servedCatalog struct {
	client *api.Client
	url    string
	yaml   []byte
}

func (s *servedCatalog) where() string { return "at " + s.url }

// plan asks the server what the catalog would change. The base is the ETag of the revision that the server compared with.
func (s *servedCatalog) plan(ctx context.Context) (catalogPlan, error) {
	planned, etag, err := api.Send[api.Plan](ctx, s.client, api.Request{
		Method: http.MethodPost, Path: api.PathCatalogPlan, YAML: s.yaml,
	})
	if err != nil {
		return catalogPlan{}, err
	}
	plan := catalogPlan{base: etag}
	for _, d := range planned.Changes {
		plan.lines = append(plan.lines, d.Text)
		if d.Op == catalog.Removed && d.Kind == "instance" {
			plan.removed = append(plan.removed, removedInstance{d.Name, d.Links})
		}
	}
	return plan, nil
}

// put applies the catalog with If-Match: the server refuses it when another revision came into force after the plan.
func (s *servedCatalog) put(ctx context.Context, base, message string) (string, error) {
	query := url.Values{}
	if message != "" {
		query.Set("message", message)
	}
	done, _, err := api.Send[api.Plan](ctx, s.client, api.Request{Method: http.MethodPut, Path: api.PathCatalog, Query: query, IfMatch: base, YAML: s.yaml})
	if err != nil || done.Revision == nil {
		return "", err
	}
	return done.Revision.ID, nil
}

// sharedCatalog is the catalog in NATS, without a server in between. The guard holds here too, since the store keeps it. Roles and
// the audit log do not: who may write to NATS may do everything.
type sharedCatalog struct {
	bus   *bus.Bus
	store *catalog.Store
	next  *catalog.Catalog
}

func (s *sharedCatalog) where() string { return "in NATS; no running postlink was asked" }

// plan compares the catalog with the one in NATS. The base is the number of that revision; empty when there is none yet. It is read
// before the comparison: a revision that comes between the two makes put fail, and not pass unseen.
func (s *sharedCatalog) plan(ctx context.Context) (catalogPlan, error) {
	var plan catalogPlan
	current, err := s.store.Current(ctx)
	switch {
	case err == nil:
		plan.base = fmt.Sprint(current.Number)
	case !errors.Is(err, catalog.ErrEmpty):
		return plan, err
	}
	differences, err := s.store.Plan(ctx, s.next)
	if err != nil {
		return plan, err
	}
	for _, d := range differences {
		plan.lines = append(plan.lines, d.String())
		if d.Op == catalog.Removed && d.Kind == "instance" {
			plan.removed = append(plan.removed, removedInstance{name: d.Name})
		}
	}
	return plan, s.countLinks(ctx, plan.removed)
}

// countLinks counts the active links of instances that are to be removed. It reads the whole ledger, once for all of them, and only
// when there is a question to ask.
func (s *sharedCatalog) countLinks(ctx context.Context, removed []removedInstance) error {
	if len(removed) == 0 {
		return nil
	}
	links, err := ledger.Open(ctx, s.bus, ledger.Options{})
	if err != nil {
		return err
	}
	count := map[string]int{}
	err = links.Scan(ctx, func(e ledger.Entry) error {
		if e.Active() {
			count[e.Current().Instance]++
		}
		return nil
	})
	for i := range removed {
		removed[i].links = count[removed[i].name]
	}
	return err
}

// put applies the catalog by compare-and-set on the base, with the account's name as author.
func (s *sharedCatalog) put(ctx context.Context, base, message string) (string, error) {
	commit := catalog.Commit{Author: userName(), Message: cmp.Or(message, "apply")}
	if base != "" {
		if _, err := fmt.Sscan(base, &commit.Base); err != nil {
			return "", fmt.Errorf("apply on revision %q: %w", base, err)
		}
	}
	revision, _, err := s.store.Apply(ctx, s.next, commit)
	if err != nil {
		return "", err
	}
	return revision.ID, nil
}

// userName is the author, in the history of the catalog, of a change that this account makes. In a container the account often has
// no name; an author is only shown, so that is no error.
func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}
