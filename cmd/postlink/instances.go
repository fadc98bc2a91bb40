package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// newInstances makes the commands for instances.
func newInstances() *cobra.Command {
	r := newRemote()
	return r.Register(cli.Noun("instances", "Look after the Dynamics 365 organizations that posts are linked to",
		"  postlink instances list\n  postlink instances show contoso",
		r.Answers(&cobra.Command{
			Use: "list", Short: "List the instances with their state, and how many links wait", Example: "  postlink instances list", Args: cobra.NoArgs,
			RunE: r.Run(func(cmd *cobra.Command, c *api.Client, _ []string) error {
				listed, _, err := api.Get[api.List[api.Instance]](cmd.Context(), c, api.PathInstances)
				if err != nil {
					return err
				}
				return cli.List(cmd, r.JSON, instanceTable, listed.Items)
			}),
		}),
		r.Answers(&cobra.Command{
			Use: "show NAME", Short: "Show an instance with its state and its entities", Example: "  postlink instances show contoso",
			Args: cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(instanceNames)),
			RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
				in, _, err := api.Get[api.Instance](cmd.Context(), c, api.Path(api.PathInstance, args[0]))
				if err != nil {
					return err
				}
				return cli.Show(cmd, r.JSON, in, instanceFacts(in)...)
			}),
		}),
		newAddInstance(r), newEditInstance(r),
		switchOver(r, "enable", "Let instances take links again", "instance", api.PathEnableInstance, "takes new links", "contoso", ofEach(instanceNames)),
		switchOver(r, "disable", "Keep new links away from instances", "instance", api.PathDisableInstance,
			"takes no new links; those it has stay", "contoso fabrikam", ofEach(instanceNames)),
		newDefaultInstance(r), newRefreshInstance(r), newDeleteInstance(r),
	))
}

// instanceTable shows how an instance is, and why; a narrow terminal drops the column with the lowest Drop first.
var instanceTable = cli.Table[api.Instance]{
	Columns: []cli.Column{
		{Head: "NAME"},
		{Head: "STATE"},
		{Head: "WAITING"},
		{Head: "OLDEST", Drop: 4},
		{Head: "ENTITIES", Shorten: 8, Drop: 3},
		{Head: "LAST SEEN", Drop: 2},
		{Head: "URL", Shorten: 20, Drop: 1},
		{Head: "WHY", Cause: true},
	},
	Row: func(in api.Instance) []string {
		names := make([]string, len(in.Entities))
		for i, e := range in.Entities {
			names[i] = e.Name
		}
		h := healthOf(in, time.Now())
		return []string{
			in.Name, h.state, fmt.Sprint(in.Waiting), when(in.Oldest), strings.Join(names, ","), when(in.LastSeen), in.URL, h.why,
		}
	},
	None: "there are no instances; add one with: postlink instances add NAME --url URL",
}

// health is the state of an instance in a few words, and why it is so.
type health struct{ state, why string }

// healthOf is the state of an instance now. Of several reasons to send nothing the strongest is named: a person's decision, then
// what has to be mended (parked), then what passes by itself (throttled, retrying). The default instance is named as that also
// when it is disabled, since manual links that name no instance are refused then.
func healthOf(in api.Instance, now time.Time) health {
	state, why := "enabled", ""
	switch {
	case !in.Enabled:
		state = "disabled"
	case in.Parked != "":
		state, why = "parked", in.Parked
		if !in.NextTry.IsZero() {
			why += "; tried again at " + when(in.NextTry)
		}
	case in.ThrottledUntil.After(now):
		state, why = "throttled", "it asked for fewer requests; continues at "+when(in.ThrottledUntil)
	case in.Retrying != "":
		state, why = "retrying", in.Retrying
		if !in.RetryingSince.IsZero() {
			why += "; since " + when(in.RetryingSince)
		}
	}
	if in.Default {
		state += ", default"
		if !in.Enabled {
			why = "manual links that name no instance are refused; choose another with: postlink instances default NAME"
		}
	}
	return health{state, why}
}

// instanceFacts are all parts of an instance. Of a secret only its place is known here.
func instanceFacts(in api.Instance) []cli.Fact {
	h := healthOf(in, time.Now())
	waiting := "none"
	if in.Waiting > 0 {
		waiting = many(int(in.Waiting), "link")
		if !in.Oldest.IsZero() {
			waiting += ", the oldest since " + when(in.Oldest)
		}
	}
	facts := []cli.Fact{
		{Name: "Name", Value: in.Name},
		{Name: "URL", Value: in.URL},
		{Name: "State", Value: h.state},
		{Name: "Why", Value: h.why},
		{Name: "Parked since", Value: when(in.ParkedSince)},
		{Name: "Waiting", Value: waiting},
		{Name: "Login", Value: in.Auth.Kind},
		{Name: "Tenant", Value: in.Auth.Tenant},
		{Name: "Client id", Value: in.Auth.ClientID},
		{Name: "Secret from", Value: secretPlace(in.Auth.ClientSecret)},
		{Name: "Authority", Value: in.Auth.Authority},
		{Name: "Token from", Value: secretPlace(in.Auth.Token)},
		{Name: "Organization", Value: in.Organization},
		{Name: "Version", Value: in.Version},
		{Name: "Last seen", Value: when(in.LastSeen)},
		{Name: "Refreshed", Value: when(in.RefreshedAt)},
		{Name: "Missing", Value: strings.Join(in.Missing, ", ")},
	}
	for _, e := range in.Entities {
		facts = append(facts, cli.Fact{Name: "Entity", Value: e.Name + "  " + strings.Join(e.Fields, ", ")})
	}
	return facts
}

// secretPlace says where the server finds a secret; empty when it has none. Whether it is there only the server knows.
func secretPlace(s api.Secret) string {
	switch {
	case s.Env != "":
		return "environment variable " + s.Env
	case s.File != "":
		return "file " + s.File
	}
	return ""
}

// newDefaultInstance makes the command that preselects an instance. A disabled one may be chosen, with a warning.
func newDefaultInstance(r *cli.Remote) *cobra.Command {
	return &cobra.Command{
		Use: "default NAME", Short: "Preselect an instance for manual links", Example: "  postlink instances default contoso",
		Args: cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(instanceNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			in, _, err := api.Send[api.Instance](cmd.Context(), c, api.Request{Method: http.MethodPost, Path: api.Path(api.PathDefaultInstance, args[0])})
			if err != nil {
				return err
			}
			note := ""
			if in.Name != "" && !in.Enabled {
				note = fmt.Sprintf("; it is disabled, so manual links are refused until: postlink instances enable %s", args[0])
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "instance %s is preselected for manual links%s\n", args[0], note)
			return err
		}),
	}
}

// newRefreshInstance makes the command that compares the catalog with Dynamics, and prints what was removed and what an active
// rule kept. It changes the catalog without a question: nothing can be linked to what Dynamics does not show to our user.
func newRefreshInstance(r *cli.Remote) *cobra.Command {
	return r.Answers(&cobra.Command{
		Use: "refresh NAME", Short: "Read the record types and fields of an instance again, and remove what is gone",
		Long:    "Reads the metadata of an instance again. When that works, a parked instance is tried again at once.",
		Example: "  postlink instances refresh contoso",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(instanceNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			found, _, err := api.Send[api.Refresh](cmd.Context(), c,
				api.Request{Method: http.MethodPost, Path: api.Path(api.PathRefreshInstance, args[0])})
			if err != nil {
				return err
			}
			facts := []cli.Fact{{Name: "Organization", Value: found.Organization}, {Name: "Version", Value: found.Version}, {Name: "Refreshed", Value: when(found.At)}}
			for _, m := range found.Removed {
				facts = append(facts, cli.Fact{Name: "Removed", Value: missing(m)})
			}
			for _, m := range found.Kept {
				facts = append(facts, cli.Fact{Name: "Kept", Value: missing(m) + ", gone in Dynamics but used by " + strings.Join(m.Rules, ", ")})
			}
			if found.Refuses != "" {
				facts = append(facts, cli.Fact{Name: "Refuses", Value: found.Refuses})
			}
			return cli.Show(cmd, r.JSON, found, facts...)
		}),
	})
}

// missing names an entity or field that Dynamics lacks, with the rules that need it.
func missing(m api.Missing) string {
	if m.Field != "" {
		return "field " + m.Field + " of " + m.Entity
	}
	return "entity " + m.Entity
}

// newDeleteInstance makes the command that deletes an instance. For the question the server counts the links, which reads the whole
// ledger and is done only on request. The deletion carries the revision that the question was about: If-Match refuses it if the
// catalog changed while the person was thinking. With --yes nothing is read first, and the revision in force is changed.
func newDeleteInstance(r *cli.Remote) *cobra.Command {
	var sure cli.Confirmation
	return sure.Register(&cobra.Command{
		Use: "delete NAME", Short: "Delete an instance, and forget its links",
		Long:    "Deletes an instance. Its links are forgotten, until the same organization is added again. Dynamics is not touched.",
		Example: "  postlink instances delete fabrikam\n  postlink instances delete fabrikam --yes",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(instanceNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			path, etag := api.Path(api.PathInstance, args[0]), ""
			if !sure.Yes {
				in, tag, err := api.Send[api.Instance](cmd.Context(), c, api.Request{Method: http.MethodGet, Path: path, Query: url.Values{"links": {"true"}}})
				if err != nil {
					return err
				}
				etag = tag
				links := 0
				if in.Links != nil {
					links = *in.Links
				}
				question := fmt.Sprintf("Delete instance %s at %s, with its %s? Its %s are forgotten, %d of which still wait; Dynamics is not touched.",
					in.Name, in.URL, many(len(in.Entities), "entity"), many(links, "link"), in.Waiting)
				if err := sure.Ask(cmd, question); err != nil {
					return err
				}
			}
			if _, err := c.Do(cmd.Context(), api.Request{Method: http.MethodDelete, Path: path, IfMatch: etag}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), "instance %s is deleted\n", args[0])
			return err
		}),
	})
}
