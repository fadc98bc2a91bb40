package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console/api"
)

// authFlags say how to log in to an instance.
type authFlags struct {
	kind                                       cli.Choice
	tenant, clientID, authority                string
	secretEnv, secretFile, tokenEnv, tokenFile string
}

// register adds the flags. None of them takes a secret itself, since other users of the machine see command lines.
func (f *authFlags) register(cmd *cobra.Command) {
	f.kind.Of = []string{"client_credentials", "static"}
	f.kind.Register(cmd, "auth-kind", "client_credentials for real organizations, static for a sandbox (default: the kind that the other flags belong to)")
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "directory id or domain in Microsoft Entra ID")
	cmd.Flags().StringVar(&f.clientID, "client-id", "", "application `ID` of the app registration")
	cmd.Flags().StringVar(&f.secretEnv, "secret-env", "", "environment `VARIABLE` of the server that holds the client secret")
	cmd.Flags().StringVar(&f.secretFile, "secret-file", "", "`FILE` of the server that holds the client secret")
	cmd.Flags().StringVar(&f.authority, "authority", "", "login `URL` of a sovereign cloud, as in https://login.microsoftonline.us")
	cmd.Flags().StringVar(&f.tokenEnv, "token-env", "", "environment `VARIABLE` of the server that holds the token of a sandbox")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "`FILE` of the server that holds the token of a sandbox")
}

// apply changes a login by the flags that were given. Another kind begins anew: parts of the old one would be refused there. A kind
// that is not named follows from the other flags. Whether the login is complete is for the server to say; only flags that contradict
// each other are usage errors.
func (f *authFlags) apply(auth api.Auth) (api.Auth, error) {
	static := f.tokenEnv != "" || f.tokenFile != ""
	credentials := f.tenant != "" || f.clientID != "" || f.secretEnv != "" || f.secretFile != "" || f.authority != ""
	kind := f.kind.Value
	switch {
	case static && credentials, kind == "static" && credentials, kind == "client_credentials" && static:
		return auth, cli.Usage("these flags belong to two ways to log in; give --tenant, --client-id and --secret-env, or --token-env alone")
	case f.secretEnv != "" && f.secretFile != "", f.tokenEnv != "" && f.tokenFile != "":
		return auth, cli.Usage("a secret is in one place; give the variable or the file")
	case kind == "" && static:
		kind = "static"
	case kind == "" && (credentials || auth.Kind == ""):
		kind = "client_credentials"
	}
	if kind != "" && kind != auth.Kind {
		auth = api.Auth{Kind: kind}
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
		auth.ClientSecret = api.Secret{Env: f.secretEnv, File: f.secretFile}
	}
	if static {
		auth.Token = api.Secret{Env: f.tokenEnv, File: f.tokenFile}
	}
	return auth, nil
}

// newAddInstance makes the command that adds an instance. Its entities are added by other commands, since Dynamics has to be
// asked which there are.
func newAddInstance(r *cli.Remote) *cobra.Command {
	var (
		login authFlags
		added api.NewInstance
	)
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add an instance",
		Long: "Adds an instance. Secrets stay where the server finds them: name the variable or the file, never the secret itself.",
		Example: "  postlink instances add contoso --url https://contoso.crm.dynamics.com \\\n" +
			"    --tenant contoso.onmicrosoft.com --client-id 00000000-0000-0000-0000-000000000000 --secret-env CONTOSO_SECRET",
		Args: cobra.ExactArgs(1),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) (err error) {
			if added.URL == "" {
				return cli.Usage("where is instance %s? give its address with --url", args[0])
			}
			added.Name = args[0]
			if added.Auth, err = login.apply(api.Auth{}); err != nil {
				return err
			}
			if _, err = c.Do(cmd.Context(), api.Request{Method: http.MethodPost, Path: api.PathInstances, Body: added}); err != nil {
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

// newEditInstance makes the command that changes address, login or preselection. The instance is read first, because a flag may
// change a part of the login and the API takes a login as a whole. The change carries the ETag of that, and the preselection the one
// of the change, so nothing is written over somebody else's. When the second is refused, the first stays.
func newEditInstance(r *cli.Remote) *cobra.Command {
	var (
		login  authFlags
		url    string
		choose bool
	)
	cmd := &cobra.Command{
		Use: "edit NAME", Short: "Change how an instance is reached",
		Long:    "Changes what flags are given for; all else stays.",
		Example: "  postlink instances edit contoso --secret-env CONTOSO_SECRET_2027",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: r.Complete(ofFirst(instanceNames)),
		RunE: r.Run(func(cmd *cobra.Command, c *api.Client, args []string) error {
			ctx, path := cmd.Context(), api.Path(api.PathInstance, args[0])
			in, etag, err := api.Get[api.Instance](ctx, c, path)
			if err != nil {
				return err
			}
			auth, err := login.apply(in.Auth)
			if err != nil {
				return err
			}
			change := api.InstanceChange{URL: url}
			if auth != in.Auth {
				change.Auth = &auth
			}
			if change == (api.InstanceChange{}) && !choose {
				return cli.Usage("nothing to change; see %s --help", cmd.CommandPath())
			}
			if change != (api.InstanceChange{}) {
				answer, err := c.Do(ctx, api.Request{Method: http.MethodPatch, Path: path, IfMatch: etag, Body: change})
				if err != nil {
					return err
				}
				etag = answer.ETag
			}
			if choose {
				_, err := c.Do(ctx, api.Request{Method: http.MethodPost, Path: api.Path(api.PathDefaultInstance, args[0]), IfMatch: etag})
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
