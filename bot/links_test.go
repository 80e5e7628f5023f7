package bot_test

// Links of several domains at the same time, in messages and in what is still being written.

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Each link reaches the handler whose domain says most of it, once, whatever becomes of the others: one that is done
// doesn't run again because another one failed, and each has its own middleware and its own words.
func TestLinksOfSeveralDomains(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, play func(...bot.Handler) scene) {
		var mu sync.Mutex
		ran := map[string][]string{} // by domain, an entry for each run
		on := func(domain string, then func(l *bot.Link) error, options ...bot.Option) bot.Handler {
			return bot.OnLink(domain, func(ctx context.Context, l *bot.Link) error {
				mu.Lock()
				ran[domain] = append(ran[domain], strings.Join(l.URLs, " ")+" in "+l.ChannelID)
				mu.Unlock()
				if err := then(l); err != nil {
					return err
				}
				shown := map[string][]slack.Block{}
				for _, u := range l.URLs {
					shown[u] = modal("Shown: " + domain).Blocks.BlockSet
				}
				return l.Unfurl(ctx, shown)
			}, append(options, bot.Scopes("chat:write"))...)
		}
		fine := func(*bot.Link) error { return nil }
		around := func(next bot.Next) bot.Next {
			return func(ctx context.Context, r *bot.Request) error {
				if r.Handler() != "link docs.example.org" {
					t.Errorf("the middleware of another handler runs around %s", r.Handler())
				}
				return next(ctx, r)
			}
		}
		s := play(on("example.com", fine), on("tickets.example.com", func(l *bot.Link) error {
			if l.Attempt == 1 {
				return errors.New("out of luck")
			}
			return nil
		}), on("docs.example.org", fine, bot.Use(around)), on("broken.example.dev", func(*bot.Link) error {
			return slack.SlackErrorResponse{Err: "is_archived"} // which another attempt would not change
		}), on("secret.example.net", func(*bot.Link) error {
			return &bot.UserError{Text: "You can't see that one."}
		}))
		s.sim.SetApp(func(a *slacksim.App) {
			a.UnfurlDomains = []string{"example.com", "tickets.example.com", "docs.example.org", "broken.example.dev",
				"secret.example.net"}
		})

		const text = "https://www.example.com/1 https://tickets.example.com/2 https://tickets.example.com/2 " +
			"https://docs.example.org/3 https://secret.example.net/4 https://broken.example.dev/5"
		ts, err := s.sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, text)
		if err != nil {
			t.Fatal(err)
		}
		s.hurry(t, func() bool { l, _ := s.db.Letters(ctx, "", 1); return len(l) == 0 && s.shown(ts) == 3 })
		s.settle(t)

		mu.Lock()
		defer mu.Unlock()
		in := " in " + slacksim.AcmeGeneral
		want := map[string][]string{"example.com": {"https://www.example.com/1" + in},
			"tickets.example.com": {"https://tickets.example.com/2" + in, "https://tickets.example.com/2" + in},
			"docs.example.org":    {"https://docs.example.org/3" + in},
			"broken.example.dev":  {"https://broken.example.dev/5" + in},
			"secret.example.net":  {"https://secret.example.net/4" + in}}
		if !maps.EqualFunc(ran, want, slices.Equal) {
			t.Errorf("they ran with %v, want %v", ran, want)
		}
		if n := s.shown(ts); n != 3 {
			t.Errorf("%d links are shown, want 3", n)
		}
		if m := lastOf(s.sim, slacksim.AcmeGeneral, slacksim.AcmeMember); m.Text != "You can't see that one." ||
			!m.Ephemeral {
			t.Errorf("who is refused reads %+v", m)
		}

		// In what is still being written there is no channel, and what is said goes to a direct message.
		clear(ran)
		mu.Unlock()
		id, err := s.sim.Links.Compose(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral,
			"https://www.example.com/1 https://docs.example.org/3 https://secret.example.net/4")
		if err != nil || id == "" {
			t.Fatal(id, err)
		}
		wait(t, s.sim, "both links shown", func() bool { d, _ := s.sim.Links.Draft(id); return len(d.Unfurls) == 2 })
		dm := s.sim.DM(slacksim.AcmeMember)
		wait(t, s.sim, "the refusal", func() bool { return said(s.sim, dm, "You can't see that one.") == 1 })
		s.settle(t)
		mu.Lock()
		want = map[string][]string{"example.com": {"https://www.example.com/1 in "},
			"docs.example.org": {"https://docs.example.org/3 in "}, "secret.example.net": {"https://secret.example.net/4 in "}}
		if !maps.EqualFunc(ran, want, slices.Equal) {
			t.Errorf("in the composer they ran with %v, want %v", ran, want)
		}
	})
}

// shown counts the links of a message of #general that the app shows something for.
func (s scene) shown(ts string) int {
	for _, m := range s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember) {
		if m.TS == ts {
			return len(m.Unfurls)
		}
	}
	return 0
}
