package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/cmd/postlink/internal/config"
	"postlink/worker/console/api"
)

// newRemote is the running postlink that a command asks. Names says, for each kind of refusal because of an unknown name, where the
// names are that there are. Instances and rules are the same for every command; entities and fields depend on its arguments.
func newRemote() *cli.Remote {
	return &cli.Remote{
		Default: "http://" + config.Default().Listen,
		Names: map[string]cli.NamesFunc{
			api.KindRuleUnknown:     func(ctx context.Context, c *api.Client, _ []string) ([]string, error) { return ruleNames(ctx, c) },
			api.KindInstanceUnknown: func(ctx context.Context, c *api.Client, _ []string) ([]string, error) { return instanceNames(ctx, c) },
			api.KindEntityUnknown:   entityNames,
			api.KindFieldUnknown:    fieldNames,
		},
	}
}

// ofFirst completes the first argument only.
func ofFirst(names func(context.Context, *api.Client) ([]string, error)) cli.NamesFunc {
	return func(ctx context.Context, c *api.Client, args []string) ([]string, error) {
		if len(args) > 0 {
			return nil, nil
		}
		return names(ctx, c)
	}
}

// ofEach completes every argument with the names that are not given yet, and flags with all.
func ofEach(names func(context.Context, *api.Client) ([]string, error)) cli.NamesFunc {
	return func(ctx context.Context, c *api.Client, args []string) ([]string, error) {
		offered, err := names(ctx, c)
		return slices.DeleteFunc(offered, func(name string) bool { return slices.Contains(args, name) }), err
	}
}

// instanceNames are those of the catalog in force. Lists of instances are short and come at once.
func instanceNames(ctx context.Context, c *api.Client) ([]string, error) {
	listed, _, err := api.Get[api.List[api.Instance]](ctx, c, api.PathInstances)
	names := make([]string, len(listed.Items))
	for i, in := range listed.Items {
		names[i] = in.Name
	}
	return names, err
}

// ruleNames are the newest rules of the catalog in force, up to a thousand; completion of more would help nobody. Suggestions are
// made from these too, so a misspelt name of an older rule gets none.
func ruleNames(ctx context.Context, c *api.Client) ([]string, error) {
	var names []string
	for page, err := range api.Pages[api.Rule](ctx, c, api.PathRules, nil, 1000) {
		if err != nil {
			return nil, err
		}
		for _, r := range page.Items {
			names = append(names, r.Name)
		}
	}
	return names, nil
}

// entityNames are those of the instance that is the first argument.
func entityNames(ctx context.Context, c *api.Client, args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	configured, _, err := entitiesOf(ctx, c, args[0])
	names := make([]string, len(configured))
	for i, e := range configured {
		names[i] = e.Name
	}
	return names, err
}

// instanceThenEntities completes an instance, and then its entities.
func instanceThenEntities(ctx context.Context, c *api.Client, args []string) ([]string, error) {
	if len(args) == 0 {
		return instanceNames(ctx, c)
	}
	names, err := entityNames(ctx, c, args)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args[1:], name) }), err
}

// fieldNames are those that the instance offers for an entity; the arguments name both.
func fieldNames(ctx context.Context, c *api.Client, args []string) ([]string, error) {
	if len(args) < 2 {
		return nil, nil
	}
	listed, _, err := api.Get[api.List[api.Field]](ctx, c, api.Path(api.PathRecordTypeFields, args[:2]...))
	names := make([]string, len(listed.Items))
	for i, f := range listed.Items {
		names[i] = f.Name
	}
	return names, err
}

// postNames are the newest posts, with their text.
func postNames(ctx context.Context, c *api.Client) ([]string, error) {
	var names []string
	for page, err := range api.Pages[api.Post](ctx, c, api.PathPosts, nil, 20) {
		if err != nil {
			return nil, err
		}
		for _, p := range page.Items {
			names = append(names, cobra.CompletionWithDesc(atSequence(p.Sequence), cli.Cut(cli.Line(postText(p)), 60)))
		}
	}
	return names, nil
}

// letterNumbers are the newest dead letters, with their reasons. Like posts they are too many to offer all.
func letterNumbers(ctx context.Context, c *api.Client) ([]string, error) {
	var offered []string
	for page, err := range api.Pages[api.DeadLetter](ctx, c, api.PathDead, nil, 20) {
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			offered = append(offered, cobra.CompletionWithDesc(strconv.FormatUint(d.Sequence, 10), cli.Cut(cli.Line(d.Reason), 60)))
		}
	}
	return offered, nil
}

// filter is a flag that limits a list to the things of one name. A name that nothing has is a usage error, with the names that
// there are. It is found out after the list turned out to be empty, since a deleted instance or rule may still have links.
type filter struct {
	what  string // instance or rule
	path  string // pattern of the thing's own path
	name  string
	names func(context.Context, *api.Client) ([]string, error)
}

// register adds the flag, with completion.
func (f *filter) register(cmd *cobra.Command, r *cli.Remote, usage string) {
	cmd.Flags().StringVar(&f.name, f.what, "", usage)
	cli.Complete(cmd, f.what, r.Complete(func(ctx context.Context, c *api.Client, _ []string) ([]string, error) { return f.names(ctx, c) }))
}

// unknown returns the usage error when nothing has the name. The thing itself is asked for: the names may be too many to list.
func (f *filter) unknown(ctx context.Context, c *api.Client) error {
	if f.name == "" {
		return nil
	}
	_, err := c.Do(ctx, api.Request{Method: http.MethodGet, Path: api.Path(f.path, f.name)})
	var refusal *api.Problem
	if !errors.As(err, &refusal) || refusal.Status != http.StatusNotFound {
		return err
	}
	names, err := f.names(ctx, c)
	if err != nil {
		return err
	}
	return cli.Usage("--%s: there is no %s %q%s", f.what, f.what, f.name, cli.DidYouMean(f.name, names))
}

// instanceFilter limits a list to one instance of the catalog.
func instanceFilter() filter {
	return filter{what: "instance", path: api.PathInstance, names: instanceNames}
}

// ruleFilter limits a list to one rule.
func ruleFilter() filter { return filter{what: "rule", path: api.PathRule, names: ruleNames} }

// firstUnknown is the usage error of the first filter whose name nothing has. Lists call it when they turned out empty.
func firstUnknown(ctx context.Context, c *api.Client, filters ...*filter) error {
	for _, f := range filters {
		if err := f.unknown(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
