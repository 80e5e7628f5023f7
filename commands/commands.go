// Package commands is the app itself: what people type, press and see. One file for each feature, and one list that
// registers them. How the app introduces itself follows from that list.
package commands

import (
	"cmp"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/words"
)

// english is what the features speak, with the library's words beside their own.
var english *words.Sentences

// features are all that the app does, in the order in which people read of it. A new one is a new file and a line here;
// one that is taken out of both leaves nothing behind.
func features() []feature {
	return []feature{
		standup(),
		poll(),
		status(),
	}
}

// feature is one thing that the app does, and how the app speaks of it.
type feature struct {
	name     string             // in the tagline, in the plural: "polls"
	does     []string           // what people can do with it, a sentence each: install page, welcome, Home
	about    string             // for Slack's app directory, one or two sentences
	picture  install.Picture    // a real answer of it; the install page shows the first feature's that has one
	try      []bot.Hint         // for the guide of the demo
	handlers []bot.Handler      // what answers
	scopes   []connection.Scope // why its permissions are asked for; other features can say more of the same ones

	commands install.Commands                          // what people can type about the connection
	messages func(cfg install.Config) install.Messages // who writes to people about it; nil: nobody
	closing  string                                    // what the tagline ends with
}

// All returns every handler of the app.
func All() []bot.Handler {
	var handlers []bot.Handler
	for _, f := range features() {
		handlers = append(handlers, f.handlers...)
	}
	return handlers
}

// Profile is what the manifest says of the app.
func Profile() bot.Profile {
	var about []string
	for _, f := range features() {
		about = append(about, f.about)
	}
	return bot.Profile{
		Name:            "Switchboard",
		Description:     tagline(features()),
		LongDescription: strings.Join(about, " "),
		Color:           "#0b6b4f",
		Scopes:          Catalogue(),
	}
}

// tagline names what the app does in one sentence of at most 140 characters.
func tagline(of []feature) string {
	var names []string
	line := ""
	for _, f := range of {
		if f.name != "" {
			names = append(names, f.name)
		}
		line = cmp.Or(f.closing, line)
	}

	if len(names) > 0 {
		line = strings.TrimSuffix(connection.And(names)+" in Slack, and "+line, ", and ")
	}
	if !strings.HasSuffix(line, "?”") { // which ends the sentence, too
		line += "."
	}
	return strings.ToUpper(line[:1]) + line[1:]
}

// App is how the app introduces itself on the install pages. The caller adds who runs it.
func App() install.App {
	app := install.App{Name: Profile().Name, Summary: Profile().Description}
	for _, f := range features() {
		app.Does = append(app.Does, f.does...)
		if app.Picture.Text == "" {
			app.Picture = f.picture
		}
		if f.commands.Status != "" {
			app.Commands = f.commands
		}
	}
	return app
}

// Messages returns what writes to people about their connection, in the app's words and with the links of cfg.
func Messages(cfg install.Config) install.Messages {
	for _, f := range features() {
		if f.messages != nil {
			return f.messages(cfg)
		}
	}
	return nil
}

// Catalogue returns all permissions of the app with the words for them, the required ones first. The manifest, the
// install page, /connection, the Home tab, the table in docs/running.md and what people read where one is missing all
// say what stands here. https://docs.slack.dev/reference/scopes
func Catalogue() []connection.Scope {
	var all []connection.Scope
	without := map[string][]string{} // a permission → what the app can't do without it
	for _, f := range features() {
		for _, s := range f.scopes {
			if s.Feature != "" && !slices.Contains(without[s.Name], s.Feature) {
				without[s.Name] = append(without[s.Name], s.Feature)
			}
			i := slices.IndexFunc(all, func(known connection.Scope) bool { return known.Name == s.Name })
			if i < 0 {
				all = append(all, s)
				continue
			}
			all[i] = shared(all[i], s)
		}
	}
	for i, s := range all {
		all[i].Feature = connection.Or(without[s.Name])
	}
	slices.SortStableFunc(all, func(a, b connection.Scope) int {
		switch {
		case a.Optional == b.Optional:
			return 0
		case b.Optional:
			return -1
		}
		return 1
	})
	return all
}

// shared is a permission that two features have their own reasons for.
func shared(s, also connection.Scope) connection.Scope {
	s.Optional = s.Optional && also.Optional
	if !strings.Contains(s.Why, also.Why) {
		s.Why += " " + also.Why
	}
	return s
}
