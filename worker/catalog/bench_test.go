package catalog_test

import (
	"bytes"
	"fmt"
	"testing"

	"postlink/rules"
	"postlink/worker/catalog"
)

// large has n active rules, each with a condition of its own.
func large(n int) *catalog.Catalog {
	c := sample()
	c.Rules = make([]rules.Rule, n)
	for i := range c.Rules {
		c.Rules[i] = rules.Rule{
			Name: fmt.Sprintf("rule-%06d", i), Active: true,
			When: fmt.Sprintf(`post.sentiment == "negative" && post.author.id == "%d" && post.reach > %d`, i, i%5),
			Link: rules.Link{Instance: "contoso", Entity: "incident", Notes: fmt.Sprintf("rule %d", i)},
		}
	}
	return c
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1_000, 20_000} {
		b.Run(fmt.Sprintf("%d rules", n), func(b *testing.B) {
			var out bytes.Buffer
			if err := large(n).Export(&out); err != nil {
				b.Fatal(err)
			}
			files := oneFile(out.String())
			b.SetBytes(int64(out.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := catalog.LoadFS(files); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkChange activates and deactivates one rule of many, in the store that holds the revision already.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1_000, 20_000} {
		b.Run(fmt.Sprintf("%d rules", n), func(b *testing.B) {
			s := open(b, startBus(b))
			apply(b, s, large(n))
			active := true
			b.ReportAllocs()
			for b.Loop() {
				active = !active
				if _, _, err := s.Change(b.Context(), anna, func(c *catalog.Catalog) error {
					if active {
						return c.ActivateRule("rule-000007")
					}
					return c.DeactivateRule("rule-000007")
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCurrent loads and compiles a revision in a store that has not seen it.
func BenchmarkCurrent(b *testing.B) {
	for _, n := range []int{1_000, 20_000} {
		b.Run(fmt.Sprintf("%d rules", n), func(b *testing.B) {
			bus := startBus(b)
			apply(b, open(b, bus), large(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := open(b, bus).Current(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
