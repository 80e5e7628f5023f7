package main

// manifest: what to paste into Slack. The file manifest.yaml in the repository is this command's output with a
// placeholder for the address.

import (
	"bytes"
	"fmt"
	"io"
	"net/url"

	"github.com/goccy/go-yaml"

	"switchboard/bot"
	"switchboard/commands"
)

// placeholderURL stands in manifest.yaml where PUBLIC_URL belongs.
const placeholderURL = "https://switchboard.example.com"

type manifestCmd struct {
	PublicURL string `name:"public-url" placeholder:"URL" help:"PUBLIC_URL: the address that Slack will send to."`
	Sockets   bool   `name:"socket-mode" help:"For Socket Mode: Slack sends through connections that serve opens (SLACK_APP_TOKEN), and to no address."`
	JSON      bool   `help:"Print JSON."`
}

// Run prints the manifest.
func (c *manifestCmd) Run(env *environment) error {
	s := newSource(env.getenv)
	public := publicURL(s, c.PublicURL)
	if public == "" {
		public = placeholderURL
		fmt.Fprintln(env.stderr, "PUBLIC_URL is not set; the manifest has "+placeholderURL+" in its place.")
	} else if u, err := url.Parse(public); err == nil && u.Scheme == "http" && len(s.problems) == 0 {
		s.bad("PUBLIC_URL", "is not https, and Slack sends to https only", "put a tunnel or proxy with https in front, and write its address")
	}
	if err := s.err(); err != nil {
		return err
	}
	m, err := bot.NewManifest(commands.Profile(), commands.All(), public)
	if err != nil {
		return err
	}
	if c.Sockets {
		m = m.OverSockets()
	}
	if c.JSON {
		return printJSON(env.stdout, m)
	}
	return writeManifest(env.stdout, m)
}

func writeManifest(w io.Writer, m bot.Manifest) error {
	var b bytes.Buffer
	b.WriteString("# Made from the app's handlers by `make manifest`. Print it for your own address with:\n" +
		"#   PUBLIC_URL=https://bot.example.com switchboard manifest\n")
	if err := yaml.NewEncoder(&b, yaml.IndentSequence(true)).Encode(m); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err := w.Write(append(bytes.TrimRight(b.Bytes(), "\n"), '\n'))
	return err
}
