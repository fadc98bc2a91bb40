package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/client"
	"postlink/worker/console"
)

func newInstances() *cobra.Command {
	var r remote
	complete := r.complete(instanceNames)
	switchTo := func(use, short, pattern, done string) *cobra.Command {
		return &cobra.Command{
			Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: complete,
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				_, err := c.Do(cmd.Context(), client.Request{Method: http.MethodPost, Path: client.Path(pattern, args[0])})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "instance %s %s\n", args[0], done)
				return err
			}),
		}
	}
	return r.noun("instances", "Look after the Dynamics 365 organizations that posts are linked to",
		r.answers(&cobra.Command{
			Use: "list", Short: "List the instances with their state", Args: cobra.NoArgs,
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
				listed, _, err := client.Get[console.List[console.Instance]](cmd.Context(), c, console.PathInstances)
				if err != nil {
					return err
				}
				return list(cmd, r.json, instanceTable, listed.Items)
			}),
		}),
		r.answers(&cobra.Command{
			Use: "show NAME", Short: "Show an instance with its state and its entities", Args: cobra.ExactArgs(1), ValidArgsFunction: complete,
			RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
				in, _, err := client.Get[console.Instance](cmd.Context(), c, client.Path(console.PathInstance, args[0]))
				if err != nil {
					return err
				}
				return show(cmd, r.json, in, instanceFacts(in)...)
			}),
		}),
		newAddInstance(&r), newEditInstance(&r),
		switchTo("enable", "Let an instance take links again", console.PathEnableInstance, "takes new links"),
		switchTo("disable", "Keep new links away from an instance", console.PathDisableInstance, "takes no new links; those it has stay"),
		switchTo("default", "Preselect an instance for manual links", console.PathDefaultInstance, "is preselected for manual links"),
		newRefreshInstance(&r), newDeleteInstance(&r),
	)
}

var instanceTable = table[console.Instance]{
	head: []string{"NAME", "STATE", "DEFAULT", "ENTITIES", "VERSION", "LAST SEEN", "URL"},
	row: func(in console.Instance) []string {
		names := make([]string, len(in.Entities))
		for i, e := range in.Entities {
			names[i] = e.Name
		}
		return []string{in.Name, short(instanceState(in)), yes(in.Default), short(strings.Join(names, ",")), in.Version, when(in.LastSeen), in.URL}
	},
	none: "there are no instances; add one with: postlink instances add NAME --url URL",
}

func instanceState(in console.Instance) string {
	switch {
	case !in.Enabled:
		return "disabled"
	case in.Parked != "":
		return "parked: " + in.Parked
	}
	return "enabled"
}

func instanceFacts(in console.Instance) []fact {
	facts := []fact{
		{"Name", in.Name},
		{"URL", in.URL},
		{"State", instanceState(in)},
		{"Parked since", when(in.ParkedSince)},
		{"Default", yes(in.Default)},
		{"Login", in.Auth.Kind},
		{"Tenant", in.Auth.Tenant},
		{"Client id", in.Auth.ClientID},
		{"Secret from", secretPlace(in.Auth.ClientSecret)},
		{"Authority", in.Auth.Authority},
		{"Token from", secretPlace(in.Auth.Token)},
		{"Organization", in.Organization},
		{"Version", in.Version},
		{"Last seen", when(in.LastSeen)},
		{"Refreshed", when(in.RefreshedAt)},
		{"Missing", strings.Join(in.Missing, ", ")},
	}
	for _, e := range in.Entities {
		facts = append(facts, fact{"Entity", e.Name + "  " + strings.Join(e.Fields, ", ")})
	}
	return facts
}

func secretPlace(s console.Secret) string {
	switch {
	case s.Env != "":
		return "environment variable " + s.Env
	case s.File != "":
		return "file " + s.File
	}
	return ""
}

// authFlags say how to log in to an instance.
type authFlags struct {
	kind, tenant, clientID, secretEnv, secretFile, authority, tokenEnv, tokenFile string
}

func (f *authFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.kind, "auth-kind", "", "client_credentials for real organizations, static for a sandbox (default as the other flags tell)")
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "directory id or domain in Microsoft Entra ID")
	cmd.Flags().StringVar(&f.clientID, "client-id", "", "application `ID` of the app registration")
	cmd.Flags().StringVar(&f.secretEnv, "secret-env", "", "environment `VARIABLE` of the server that holds the client secret")
	cmd.Flags().StringVar(&f.secretFile, "secret-file", "", "`FILE` of the server that holds the client secret")
	cmd.Flags().StringVar(&f.authority, "authority", "", "login `HOST` of a sovereign cloud")
	cmd.Flags().StringVar(&f.tokenEnv, "token-env", "", "environment `VARIABLE` of the server that holds the token of a sandbox")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "`FILE` of the server that holds the token of a sandbox")
}

// on changes a login by the flags that were given. Another kind begins anew.
func (f *authFlags) on(auth console.Auth) (console.Auth, error) {
	static := f.tokenEnv != "" || f.tokenFile != ""
	credentials := f.tenant != "" || f.clientID != "" || f.secretEnv != "" || f.secretFile != "" || f.authority != ""
	kind := f.kind
	switch {
	case static && credentials, kind == "static" && credentials, kind == "client_credentials" && static:
		return auth, usageError(errors.New("flags of two ways to log in; give --tenant, --client-id and --secret-env, or --token-env alone"))
	case f.secretEnv != "" && f.secretFile != "", f.tokenEnv != "" && f.tokenFile != "":
		return auth, usageError(errors.New("a secret is in one place; give the variable or the file"))
	case kind == "" && static:
		kind = "static"
	case kind == "" && (credentials || auth.Kind == ""):
		kind = "client_credentials"
	}
	if kind != "" && kind != auth.Kind {
		auth = console.Auth{Kind: kind}
	}
	for _, set := range []struct {
		to   *string
		flag string
	}{{&auth.Tenant, f.tenant}, {&auth.ClientID, f.clientID}, {&auth.Authority, f.authority}} {
		if set.flag != "" {
			*set.to = set.flag
		}
	}
	if f.secretEnv != "" || f.secretFile != "" {
		auth.ClientSecret = console.Secret{Env: f.secretEnv, File: f.secretFile}
	}
	if static {
		auth.Token = console.Secret{Env: f.tokenEnv, File: f.tokenFile}
	}
	return auth, nil
}

func newAddInstance(r *remote) *cobra.Command {
	var (
		login authFlags
		added console.NewInstance
	)
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add an instance",
		Long: "Adds an instance. Secrets stay where the server finds them: name the variable or the file, never the secret itself.",
		Args: cobra.ExactArgs(1),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) (err error) {
			if added.URL == "" {
				return usageError(fmt.Errorf("where is instance %s? give its address with --url", args[0]))
			}
			added.Name = args[0]
			if added.Auth, err = login.on(console.Auth{}); err != nil {
				return err
			}
			_, err = c.Do(cmd.Context(), client.Request{Method: http.MethodPost, Path: console.PathInstances, Body: added})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "instance %[1]s is added; choose record types for it: postlink entities offered %[1]s\n", added.Name)
			return err
		}),
	}
	cmd.Flags().StringVar(&added.URL, "url", "", "address of the organization, as in https://contoso.crm.dynamics.com")
	cmd.Flags().BoolVar(&added.Default, "default", false, "preselect it for manual links")
	login.register(cmd)
	return cmd
}

func newEditInstance(r *remote) *cobra.Command {
	var (
		login  authFlags
		url    string
		choose bool
	)
	cmd := &cobra.Command{
		Use: "edit NAME", Short: "Change how an instance is reached",
		Long: "Changes what flags are given for; all else stays.",
		Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(instanceNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ctx, path := cmd.Context(), client.Path(console.PathInstance, args[0])
			in, etag, err := client.Get[console.Instance](ctx, c, path)
			if err != nil {
				return err
			}
			auth, err := login.on(in.Auth)
			if err != nil {
				return err
			}
			change := console.InstanceChange{URL: url}
			if auth != in.Auth {
				change.Auth = &auth
			}
			if change == (console.InstanceChange{}) && !choose {
				return usageError(fmt.Errorf("nothing to change; see %s --help", cmd.CommandPath()))
			}
			if change != (console.InstanceChange{}) {
				answer, err := c.Do(ctx, client.Request{Method: http.MethodPatch, Path: path, IfMatch: etag, Body: change})
				if err != nil {
					return err
				}
				etag = answer.ETag
			}
			if choose {
				_, err := c.Do(ctx, client.Request{Method: http.MethodPost, Path: client.Path(console.PathDefaultInstance, args[0]), IfMatch: etag})
				if err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "instance %s is changed\n", args[0])
			return err
		}),
	}
	cmd.Flags().StringVar(&url, "url", "", "address of the organization")
	cmd.Flags().BoolVar(&choose, "default", false, "preselect it for manual links")
	login.register(cmd)
	return cmd
}

func newRefreshInstance(r *remote) *cobra.Command {
	return r.answers(&cobra.Command{
		Use: "refresh NAME", Short: "Read the record types and fields of an instance again, and remove what is gone",
		Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(instanceNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			found, _, err := client.Send[console.Refresh](cmd.Context(), c,
				client.Request{Method: http.MethodPost, Path: client.Path(console.PathRefreshInstance, args[0])})
			if err != nil {
				return err
			}
			facts := []fact{{"Organization", found.Organization}, {"Version", found.Version}, {"Refreshed", when(found.At)}}
			for _, m := range found.Removed {
				facts = append(facts, fact{"Removed", missing(m)})
			}
			for _, m := range found.Kept {
				facts = append(facts, fact{"Kept", missing(m) + ", gone in Dynamics but used by " + strings.Join(m.Rules, ", ")})
			}
			return show(cmd, r.json, found, facts...)
		}),
	})
}

func missing(m console.Missing) string {
	if m.Field != "" {
		return "field " + m.Field + " of " + m.Entity
	}
	return "entity " + m.Entity
}

func newDeleteInstance(r *remote) *cobra.Command {
	var sure confirmation
	return sure.register(&cobra.Command{
		Use: "delete NAME", Short: "Delete an instance",
		Long: "Deletes an instance. Its links are forgotten, until the same organization is added again. Dynamics is not touched.",
		Args: cobra.ExactArgs(1), ValidArgsFunction: r.complete(instanceNames),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			path, etag := client.Path(console.PathInstance, args[0]), ""
			if !sure.yes {
				in, tag, err := client.Get[console.Instance](cmd.Context(), c, path)
				if err != nil {
					return err
				}
				etag = tag
				question := fmt.Sprintf("Delete instance %s at %s, with its %d entities? Its links are forgotten; Dynamics is not touched.", in.Name, in.URL, len(in.Entities))
				if err := sure.ask(cmd, question); err != nil {
					return err
				}
			}
			_, err := c.Do(cmd.Context(), client.Request{Method: http.MethodDelete, Path: path, IfMatch: etag})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "instance %s is deleted\n", args[0])
			return err
		}),
	})
}

// instanceNames completes the first argument.
func instanceNames(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	if len(args) > 0 {
		return nil, nil
	}
	listed, _, err := client.Get[console.List[console.Instance]](ctx, c, console.PathInstances)
	names := make([]string, len(listed.Items))
	for i, in := range listed.Items {
		names[i] = in.Name
	}
	return names, err
}
