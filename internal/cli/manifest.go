package cli

// manifest: what to paste into Slack. The file manifest.yaml in the repository is this command's output with a
// placeholder for the address; the table of permissions in docs/running.md is that of --permissions.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
)

// placeholderURL stands in manifest.yaml where PUBLIC_URL belongs.
func (p *program) placeholderURL() string {
	host := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, p.name))
	return "https://" + cmp.Or(strings.Trim(host, "-"), "bot") + ".example.com"
}

type manifestCmd struct {
	Print    manifestPrintCmd    `cmd:"" default:"withargs" help:"Print it, to paste into Slack. This is what manifest alone does."`
	Validate manifestValidateCmd `cmd:"" help:"Check it here, and by Slack with SLACK_CONFIG_TOKEN."`
	Diff     manifestDiffCmd     `cmd:"" help:"Compare it with the app's settings at Slack. Exit code 1: they differ."`
	Push     manifestPushCmd     `cmd:"" help:"Make the app's settings at Slack those of the code, and have workspaces allow what is new."`
}

type manifestPrintCmd struct {
	PublicURL   string `name:"public-url" placeholder:"URL" help:"PUBLIC_URL: the address that Slack will send to."`
	Sockets     bool   `name:"socket-mode" help:"For Socket Mode: Slack sends through connections that serve opens (SLACK_APP_TOKEN), not to an address."`
	JSON        bool   `help:"Print JSON."`
	Permissions bool   `help:"Print a Markdown table of the permissions and what each is for instead."`
}

// Run prints the manifest.
func (c *manifestPrintCmd) Run(env *environment) error {
	if c.Permissions {
		_, err := io.WriteString(env.stdout, permissionTable(bot.Catalogue(nil, env.Scopes, env.Handlers)))
		return err
	}

	s := env.source()
	public := publicURL(s, c.PublicURL)
	if public == "" {
		public = env.placeholderURL()
		fmt.Fprintln(env.stderr, "PUBLIC_URL is not set; the manifest has "+public+" in its place.")
	}

	if err := s.err(); err != nil {
		return err
	}
	if overHTTP(public) && !c.Sockets {
		fmt.Fprintf(env.stderr, "%s: %s.\n", httpWarning, httpFix)
	}

	m, err := env.manifest(public)
	if err != nil {
		return err
	}
	if c.Sockets {
		m = m.OverSockets()
	}

	if c.JSON {
		return printJSON(env.stdout, m)
	}
	return writeManifest(env.stdout, m, env.name)
}

func writeManifest(w io.Writer, m bot.Manifest, program string) error {
	written, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	var fields yaml.MapSlice // in their order
	if err := yaml.UnmarshalWithOptions(written, &fields, yaml.UseOrderedMap()); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}

	var b bytes.Buffer
	b.WriteString("# Made from the app's handlers. Print it for your own address with:\n" +
		"#   PUBLIC_URL=https://bot.example.com " + program + " manifest\n")
	if err := yaml.NewEncoder(&b, yaml.IndentSequence(true)).Encode(fields); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = w.Write(append(bytes.TrimRight(b.Bytes(), "\n"), '\n'))
	return err
}

// permissionTable is the catalogue as a table in Markdown.
func permissionTable(scopes []connection.Scope) string {
	var b strings.Builder
	b.WriteString("| permission | what it is for | without it |\n|---|---|---|\n")
	for _, s := range scopes {
		without := "it can't be installed"
		if s.Optional {
			without = "it can't " + s.Feature
		}
		fmt.Fprintf(&b, "| `%s`: %s | %s | %s |\n", s.Name, strings.ToLower(s.Label[:1])+s.Label[1:], s.Why, without)
	}
	return b.String()
}
