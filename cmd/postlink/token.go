package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"postlink/cmd/postlink/internal/cli"
	"postlink/worker/console"
)

// newToken makes the command for tokens. It works without a server.
func newToken() *cobra.Command {
	return cli.Noun("token", "Make tokens that let people and programs use the API", "  postlink token create --role responder --name ann@example.com",
		newCreateToken())
}

// createdToken is a new token, with its entry of the configuration.
type createdToken struct {
	Name   string `json:"name"`
	Role   string `json:"role"`
	Token  string `json:"token"`
	SHA256 string `json:"sha256"`
}

// newCreateToken makes tokens of 130 random bits, so that a plain SHA-256 of them can stand in a configuration. The entry is checked as
// the configuration will check it. Token and entry go to standard output, what to do with them to standard error.
func newCreateToken() *cobra.Command {
	var (
		name   string
		asJSON bool
		role   = cli.Choice{Of: []string{"reader", "responder", "manager", "administrator"}}
	)
	cmd := &cobra.Command{
		Use:   "create --role ROLE --name NAME",
		Short: "Make a token, and print the line for the configuration",
		Long: "Makes a token and prints it, with the line for the configuration of postlink serve. The configuration holds only a hash:\n" +
			"the token itself is shown this one time. Nothing is sent or written anywhere.\n\n" +
			"A reader sees everything. A responder links posts. A manager removes links and sends dead letters again. An\n" +
			"administrator changes the catalog and drops dead letters. Each may do what those before it may.",
		Example: "  postlink token create --role responder --name ann@example.com\n" +
			"  postlink token create --role reader --name grafana --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role.Value == "" || name == "" {
				return cli.Usage("a token needs --role and --name; see %s --help", cmd.CommandPath())
			}
			made := createdToken{Name: name, Role: role.Value, Token: rand.Text()}
			hash := sha256.Sum256([]byte(made.Token))
			made.SHA256 = hex.EncodeToString(hash[:])
			if _, err := console.ParseToken(made.Name, made.Role, made.SHA256); err != nil {
				return cli.Usage("%w", err)
			}
			if asJSON {
				return cli.Show(cmd, true, made)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n  - {name: %s, role: %s, sha256: %s}\n", made.Token, made.Name, made.Role, made.SHA256)
			fmt.Fprintf(cmd.ErrOrStderr(), "The first line is the token, for %s: it is shown only now. Commands take it from %s.\n"+
				"The second line belongs under tokens: in the configuration of postlink serve, which reads it when it starts.\n",
				made.Name, cli.TokenVariable)
			return err
		},
	}
	role.Register(cmd, "role", "what the token allows: reader, responder, manager or administrator")
	cmd.Flags().StringVar(&name, "name", "", "who holds it, as history and audit show it, as in ann@example.com")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
