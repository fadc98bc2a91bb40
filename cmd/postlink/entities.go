package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

func newEntities() *cobra.Command {
	var r remote
	return r.noun("entities", "Choose which record types posts may be linked to, and which fields of them are shown",
		r.answers(&cobra.Command{
			Use: "list INSTANCE", Short: "List the entities of an instance", Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(instanceNames),
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				listed, _, err := entitiesOf(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				return list(cmd, r.json, table[console.Entity]{
					head: []string{"ENTITY", "FIELDS"},
					row:  func(e console.Entity) []string { return []string{e.Name, short(strings.Join(e.Fields, ", "))} },
					none: "the instance has no entities; see what it offers with: postlink entities offered " + args[0],
				}, listed)
			}),
		}),
		newOfferedEntities(&r), newAddEntity(&r), newRemoveEntity(&r), newEntityFields(&r),
	)
}

func entitiesOf(ctx context.Context, c *client.Client, instance string) ([]console.Entity, string, error) {
	listed, etag, err := client.Get[console.List[console.Entity]](ctx, c, client.Path(console.PathEntities, instance))
	return listed.Items, etag, err
}

func newOfferedEntities(r *remote) *cobra.Command {
	return r.answers(&cobra.Command{
		Use: "offered INSTANCE [ENTITY]", Short: "Ask an instance which record types may be added, or which fields one has",
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: r.complete(entityNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if len(args) == 2 {
				fields, _, err := client.Get[console.List[console.Field]](cmd.Context(), c, client.Path(console.PathRecordTypeFields, args...))
				if err != nil {
					return err
				}
				return list(cmd, r.json, table[console.Field]{
					head: []string{"FIELD", "LABEL", "TYPE"},
					row:  func(f console.Field) []string { return []string{f.Name, short(f.Label), f.Type} },
					none: "the record type has no fields",
				}, fields.Items)
			}
			types, _, err := client.Get[console.List[console.RecordType]](cmd.Context(), c, client.Path(console.PathRecordTypes, args...))
			if err != nil {
				return err
			}
			return list(cmd, r.json, table[console.RecordType]{
				head: []string{"ENTITY", "LABEL", "CUSTOM", "ADDED"},
				row: func(t console.RecordType) []string {
					return []string{t.Name, short(t.Label), yes(t.Custom), yes(t.Configured)}
				},
				none: "the instance offers no record types; its user may not be allowed to see them",
			}, types.Items)
		}),
	})
}

func newAddEntity(r *remote) *cobra.Command {
	var fields []string
	cmd := &cobra.Command{
		Use: "add INSTANCE ENTITY", Short: "Let posts be linked to a record type that the instance offers", Args: cobra.ExactArgs(2),
		ValidArgsFunction: r.complete(instanceNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			_, err := c.Do(cmd.Context(), client.Request{
				Method: http.MethodPost, Path: client.Path(console.PathEntities, args[0]), Body: console.Entity{Name: args[1], Fields: fields},
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "posts may be linked to %s of instance %s\n", args[1], args[0])
			return err
		}),
	}
	cmd.Flags().StringSliceVar(&fields, "fields", nil, "fields that record details show, in order, as in title,ticketnumber (default those that tell most)")
	return cmd
}

func newRemoveEntity(r *remote) *cobra.Command {
	var sure confirmation
	return sure.register(&cobra.Command{
		Use: "remove INSTANCE ENTITY", Short: "Take an entity away from an instance, unless an active rule uses it", Args: cobra.ExactArgs(2),
		ValidArgsFunction: r.complete(entityNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			etag := ""
			if !sure.yes {
				configured, tag, err := entitiesOf(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				e, err := entityIn(configured, args[0], args[1])
				if err != nil {
					return err
				}
				etag = tag
				if err := sure.ask(cmd, fmt.Sprintf("Remove entity %s of instance %s, with its list of %d fields?", e.Name, args[0], len(e.Fields))); err != nil {
					return err
				}
			}
			_, err := c.Do(cmd.Context(), client.Request{Method: http.MethodDelete, Path: client.Path(console.PathEntity, args...), IfMatch: etag})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "entity %s of instance %s is removed\n", args[1], args[0])
			return err
		}),
	})
}

func entityIn(configured []console.Entity, instance, name string) (console.Entity, error) {
	i := slices.IndexFunc(configured, func(e console.Entity) bool { return e.Name == name })
	if i < 0 {
		return console.Entity{}, fmt.Errorf("instance %[1]s has no entity %[2]s; see which it has with: postlink entities list %[1]s", instance, name)
	}
	return configured[i], nil
}

func newEntityFields(r *remote) *cobra.Command {
	var (
		up, down string
		reset    bool
	)
	cmd := r.answers(&cobra.Command{
		Use: "fields INSTANCE ENTITY [FIELD...]", Short: "List or set the fields that record details show, in order",
		Long: "Without FIELD lists the fields that record details show. With FIELDs shows those, in that order, from now on.\n" +
			"Which fields there are: postlink entities offered INSTANCE ENTITY.",
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: r.complete(entityNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ways := 0
			for _, given := range []bool{up != "", down != "", reset, len(args) > 2} {
				if given {
					ways++
				}
			}
			if ways > 1 {
				return usageError(errors.New("several ways to change the fields; give --up, --down, --reset or the whole list"))
			}
			var fields []string
			var etag string
			if len(args) > 2 || reset {
				fields = append([]string{}, args[2:]...)
			} else {
				configured, tag, err := entitiesOf(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				e, err := entityIn(configured, args[0], args[1])
				if err != nil {
					return err
				}
				if ways == 0 {
					return listFields(cmd, r.json, e.Fields)
				}
				step, name := -1, up
				if down != "" {
					step, name = 1, down
				}
				if fields, err = moved(e.Fields, name, step); err != nil {
					return err
				}
				etag = tag
			}
			e, _, err := client.Send[console.Entity](cmd.Context(), c, client.Request{
				Method: http.MethodPut, Path: client.Path(console.PathEntityFields, args[:2]...), IfMatch: etag, Body: console.Fields{Fields: fields},
			})
			if err != nil {
				return err
			}
			return listFields(cmd, r.json, e.Fields)
		}),
	})
	cmd.Flags().StringVar(&up, "up", "", "move `FIELD` one place up")
	cmd.Flags().StringVar(&down, "down", "", "move `FIELD` one place down")
	cmd.Flags().BoolVar(&reset, "reset", false, "show the fields that tell most, as if none had been chosen")
	return cmd
}

// moved is a list of fields with one of them moved by step places. At the end of the list it stays.
func moved(fields []string, name string, step int) ([]string, error) {
	i := slices.Index(fields, name)
	if i < 0 {
		return nil, fmt.Errorf("field %s is not shown, so it cannot be moved; the fields shown are: %s", name, strings.Join(fields, ", "))
	}
	fields = slices.Clone(fields)
	if to := i + step; to >= 0 && to < len(fields) {
		fields[i], fields[to] = fields[to], fields[i]
	}
	return fields, nil
}

func listFields(cmd *cobra.Command, asJSON bool, fields []string) error {
	return list(cmd, asJSON, table[string]{
		head: []string{"FIELD"},
		row:  func(f string) []string { return []string{f} },
		none: "no fields are chosen; record details show those that tell most",
	}, fields)
}

// entityNames completes an instance and one of its entities.
func entityNames(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	if len(args) != 1 {
		return instanceNames(ctx, c, args)
	}
	configured, _, err := entitiesOf(ctx, c, args[0])
	names := make([]string, len(configured))
	for i, e := range configured {
		names[i] = e.Name
	}
	return names, err
}
