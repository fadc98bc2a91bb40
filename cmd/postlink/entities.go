package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// newEntities makes the commands for the entities of an instance: the record types that posts may be linked to.
func newEntities() *cobra.Command {
	r := newRemote()
	return r.Register(cli.Noun("entities", "Choose which record types posts may be linked to, and which fields of them are shown",
		"  postlink entities list contoso\n  postlink entities fields contoso incident title ticketnumber",
		r.Answers(&cobra.Command{
			Use: "list INSTANCE", Short: "List the entities of an instance", Example: "  postlink entities list contoso",
			Args: cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(instanceNames)),
			RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
				listed, _, err := entitiesOf(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				return cli.List(cmd, r.JSON, cli.Table[api.Entity]{
					Columns: []cli.Column{{Head: "ENTITY"}, {Head: "FIELDS", Shorten: 20}},
					Row:     func(e api.Entity) []string { return []string{e.Name, strings.Join(e.Fields, ", ")} },
					None:    "the instance has no entities; see what it offers with: postlink entities offered " + args[0],
				}, listed)
			}),
		}),
		newOfferedEntities(r), newAddEntity(r), newRemoveEntity(r), newEntityFields(r),
	))
}

// entitiesOf reads the configured entities of an instance. The ETag names the revision of the whole catalog, for a change that
// depends on what was read: a change elsewhere in the catalog makes it stale too.
func entitiesOf(ctx context.Context, c *api.Client, instance string) ([]api.Entity, string, error) {
	listed, etag, err := api.Get[api.List[api.Entity]](ctx, c, api.Path(api.PathEntities, instance))
	return listed.Items, etag, err
}

// newOfferedEntities makes the command that asks Dynamics itself, through the server, what could be configured. The server has no
// list of that to fall back on: it is refused when the instance does not answer.
func newOfferedEntities(r *cli.Remote) *cobra.Command {
	return r.Answers(&cobra.Command{
		Use: "offered INSTANCE [ENTITY]", Short: "Ask an instance which record types may be added, or which fields one has",
		Example: "  postlink entities offered contoso\n  postlink entities offered contoso incident",
		Args:    cobra.RangeArgs(1, 2), ValidArgsFunction: r.Complete(instanceThenEntities),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			if len(args) == 2 {
				fields, _, err := api.Get[api.List[api.Field]](cmd.Context(), c, api.Path(api.PathRecordTypeFields, args...))
				if err != nil {
					return err
				}
				return cli.List(cmd, r.JSON, cli.Table[api.Field]{
					Columns: []cli.Column{{Head: "FIELD"}, {Head: "LABEL", Shorten: 12}, {Head: "TYPE", Drop: 1}},
					Row:     func(f api.Field) []string { return []string{f.Name, f.Label, f.Type} },
					None:    "the record type has no fields",
				}, fields.Items)
			}
			types, _, err := api.Get[api.List[api.RecordType]](cmd.Context(), c, api.Path(api.PathRecordTypes, args...))
			if err != nil {
				return err
			}
			return cli.List(cmd, r.JSON, cli.Table[api.RecordType]{
				Columns: []cli.Column{{Head: "ENTITY"}, {Head: "LABEL", Shorten: 12}, {Head: "CUSTOM", Drop: 1}, {Head: "ADDED"}},
				Row: func(t api.RecordType) []string {
					return []string{t.Name, t.Label, yes(t.Custom), yes(t.Configured)}
				},
				None: "the instance offers no record types; its user may not be allowed to see them",
			}, types.Items)
		}),
	})
}

// newAddEntity makes the command that adds entities, with one request for each: a refused one changes nothing, and the others are
// added all the same.
func newAddEntity(r *cli.Remote) *cobra.Command {
	var fields []string
	cmd := &cobra.Command{
		Use: "add INSTANCE ENTITY...", Short: "Let posts be linked to record types that the instance offers",
		Example: "  postlink entities add contoso incident lead\n  postlink entities add contoso incident --fields title,ticketnumber",
		Args:    cobra.MinimumNArgs(2), ValidArgsFunction: r.Complete(ofFirst(instanceNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			if len(fields) > 0 && len(args) > 2 {
				return cli.Usage("--fields are those of one entity; add the entities one by one")
			}
			return r.Each(cmd, c, args[:1], args[1:], func(entity string) error {
				_, err := c.Do(cmd.Context(), api.Request{
					Method: http.MethodPost, Path: api.Path(api.PathEntities, args[0]), Body: api.Entity{Name: entity, Fields: fields},
				})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "posts may be linked to %s of instance %s\n", entity, args[0])
				return err
			})
		}),
	}
	cmd.Flags().StringSliceVar(&fields, "fields", nil, "fields that record details show, in order, as in title,ticketnumber (default those that say most)")
	return cmd
}

// newRemoveEntity makes the command that removes entities. What the question showed is what is removed: If-Match refuses the
// removal if somebody else changed the catalog meanwhile. Each removal makes a revision, so the ETag of its answer is that of the
// next one. With --yes nothing was shown, so nothing is compared.
func newRemoveEntity(r *cli.Remote) *cobra.Command {
	var sure cli.Confirmation
	return sure.Register(&cobra.Command{
		Use: "remove INSTANCE ENTITY...", Short: "Take entities away from an instance, unless an active rule uses them",
		Example: "  postlink entities remove contoso lead\n  postlink entities remove contoso lead opportunity --yes",
		Args:    cobra.MinimumNArgs(2), ValidArgsFunction: r.Complete(instanceThenEntities),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			instance, entities := args[0], args[1:]
			etag := ""
			if !sure.Yes {
				configured, tag, err := entitiesOf(cmd.Context(), c, instance)
				if err != nil {
					return err
				}
				texts := make([]string, len(entities))
				for i, name := range entities {
					e, err := entityIn(configured, instance, name)
					if err != nil {
						return err
					}
					texts[i] = fmt.Sprintf("%s with its list of %s", e.Name, many(len(e.Fields), "field"))
				}
				etag = tag
				if err := sure.Ask(cmd, fmt.Sprintf("Remove of instance %s: %s?", instance, strings.Join(texts, ", "))); err != nil {
					return err
				}
			}
			return r.Each(cmd, c, args[:1], entities, func(entity string) error {
				answer, err := c.Do(cmd.Context(), api.Request{Method: http.MethodDelete, Path: api.Path(api.PathEntity, instance, entity), IfMatch: etag})
				if err != nil {
					return err
				}
				if etag != "" {
					etag = answer.ETag
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "entity %s of instance %s is removed\n", entity, instance)
				return err
			})
		}),
	})
}

// entityIn finds a configured entity. The error suggests the name that was meant.
func entityIn(configured []api.Entity, instance, name string) (api.Entity, error) {
	names := make([]string, len(configured))
	for i, e := range configured {
		if e.Name == name {
			return e, nil
		}
		names[i] = e.Name
	}
	return api.Entity{}, fmt.Errorf("instance %s has no entity %s%s", instance, name, cli.DidYouMean(name, names))
}

// fieldChange is how the list of fields of an entity is changed; the zero value does not change it. The API knows whole lists only:
// a move is computed here, from the list that was read, and a reset is an empty list.
type fieldChange struct {
	up, down string
	reset    bool
}

// check refuses several changes at once; fields are those of a whole new list.
func (f *fieldChange) check(fields []string) error {
	ways := 0
	for _, given := range []bool{f.up != "", f.down != "", f.reset, len(fields) > 0} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return cli.Usage("these are several ways to change the fields; give --up, --down, --reset or the whole list")
	}
	return nil
}

// of is the new list; changed is false when it is only looked at.
func (f *fieldChange) of(fields []string) (next []string, changed bool, err error) {
	switch {
	case f.up != "":
		next, err = moved(fields, f.up, -1)
		return next, true, err
	case f.down != "":
		next, err = moved(fields, f.down, 1)
		return next, true, err
	}
	return fields, false, nil
}

// newEntityFields makes the command that lists, sets and reorders fields. A move is made on the list that was read: If-Match refuses
// it if somebody else changed the list meanwhile.
func newEntityFields(r *cli.Remote) *cobra.Command {
	var change fieldChange
	cmd := r.Answers(&cobra.Command{
		Use: "fields INSTANCE ENTITY [FIELD...]", Short: "List or set the fields that record details show, in order",
		Long: "Without FIELD lists the fields that record details show. With FIELDs shows those, in that order, from now on.\n" +
			"Which fields there are: postlink entities offered INSTANCE ENTITY.",
		Example: "  postlink entities fields contoso incident\n" +
			"  postlink entities fields contoso incident title ticketnumber createdon\n" +
			"  postlink entities fields contoso incident --up ticketnumber",
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: r.Complete(func(ctx context.Context, c *api.Client, args []string) ([]string, error) {
			if len(args) < 2 {
				return instanceThenEntities(ctx, c, args)
			}
			return fieldNames(ctx, c, args)
		}),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			fields, etag := args[2:], ""
			if err := change.check(fields); err != nil {
				return err
			}
			if len(fields) == 0 && !change.reset {
				configured, tag, err := entitiesOf(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				e, err := entityIn(configured, args[0], args[1])
				if err != nil {
					return err
				}
				next, changed, err := change.of(e.Fields)
				if err != nil {
					return err
				}
				if !changed {
					return listFields(cmd, r.JSON, e.Fields)
				}
				fields, etag = next, tag
			}
			e, _, err := api.Send[api.Entity](cmd.Context(), c, api.Request{
				Method: http.MethodPut, Path: api.Path(api.PathEntityFields, args[:2]...), IfMatch: etag,
				Body: api.Fields{Fields: append([]string{}, fields...)},
			})
			if err != nil {
				return err
			}
			return listFields(cmd, r.JSON, e.Fields)
		}),
	})
	cmd.Flags().StringVar(&change.up, "up", "", "move `FIELD` one place up")
	cmd.Flags().StringVar(&change.down, "down", "", "move `FIELD` one place down")
	cmd.Flags().BoolVar(&change.reset, "reset", false, "show the fields that say most, as if none had been chosen")
	return cmd
}

// moved is a list of fields with one of them moved by step places. At the end of the list it stays.
func moved(fields []string, name string, step int) ([]string, error) {
	i := slices.Index(fields, name)
	if i < 0 {
		return nil, errors.New("field " + name + " is not shown, so it cannot be moved; the fields shown are: " + strings.Join(fields, ", "))
	}
	fields = slices.Clone(fields)
	if to := i + step; to >= 0 && to < len(fields) {
		fields[i], fields[to] = fields[to], fields[i]
	}
	return fields, nil
}

// listFields prints the fields of an entity in the order in which record details show them.
func listFields(cmd *cobra.Command, asJSON bool, fields []string) error {
	return cli.List(cmd, asJSON, cli.Table[string]{
		Columns: []cli.Column{{Head: "FIELD"}},
		Row:     func(f string) []string { return []string{f} },
		None:    "no fields are chosen; record details show those that say most",
	}, fields)
}
