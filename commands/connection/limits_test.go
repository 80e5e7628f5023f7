package connection

// Slack refuses a message that is one character too long, and the person then reads nothing. So everything the app can
// say is made here from the functions that say it, over many states, people and hostile names, and held against Slack's
// rules twice: by the numbers of Slack's pages, and by slacksim.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// rules finds what Slack would refuse, or show badly. The numbers are those of docs.slack.dev/reference/block-kit and
// /reference/views; the total over all blocks is not documented (bolt-js#2509).
type rules struct {
	faults []string
	total  int // characters in all blocks
}

func (r *rules) bad(where, format string, args ...any) {
	r.faults = append(r.faults, where+": "+fmt.Sprintf(format, args...))
}

func (r *rules) length(where string, v any, least, most int) string {
	s, ok := v.(string)
	if v != nil && !ok {
		r.bad(where, "not a string")
	}
	if n := utf8.RuneCountInString(s); n < least || n > most {
		r.bad(where, "%d characters, Slack takes %d to %d", n, least, most)
	}
	return s
}

var (
	entity = regexp.MustCompile(`&(amp;|lt;|gt;)?`)
	markup = regexp.MustCompile(
		`^(@[UW][A-Z0-9]+|#C[A-Z0-9]+|!date\^\d+\^[^|]+\|[^<>]+|(https?://|mailto:)[^|<> ]+(\|[^<>]+)?)$`)
)

// marked holds text against Slack's markup: every < is one of ours and is closed, every & is an escape.
func (r *rules) marked(where, s string) {
	for _, e := range entity.FindAllString(s, -1) {
		if e == "&" {
			r.bad(where, "an & that is no escape in %.200q", s)
			break
		}
	}
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			break
		}
		inside, next, closed := strings.Cut(after, ">")
		if !closed || !markup.MatchString(inside) {
			r.bad(where, "markup that is not ours, or not whole: <%.60s", after)
			break
		}
		rest = next
	}
	if strings.Count(s, "```")%2 != 0 || strings.Count(strings.ReplaceAll(s, "```", ""), "`")%2 != 0 {
		r.bad(where, "an open ` in %.200q", s)
	}
}

// text checks a text object.
func (r *rules) text(where string, v any, most int, plainOnly bool) {
	o, _ := v.(map[string]any)
	if o == nil {
		r.bad(where, "no text")
		return
	}
	s := r.length(where, o["text"], 1, most)
	r.total += utf8.RuneCountInString(s)
	switch {
	case o["type"] == "mrkdwn" && !plainOnly:
		r.marked(where, s)
	case o["type"] != "plain_text":
		r.bad(where, "a %v where Slack takes no such text", o["type"])
	}
}

func (r *rules) blocks(raw []byte, most int) {
	var list []map[string]any
	if err := json.Unmarshal(raw, &list); err != nil {
		r.bad("blocks", "%v", err)
	}
	if len(list) > most {
		r.bad("blocks", "%d, Slack takes %d", len(list), most)
	}
	ids := map[any]bool{}
	for i, b := range list {
		where := fmt.Sprintf("block %d (%v)", i, b["type"])
		if id := r.length(where+" block_id", b["block_id"], 0, 255); id != "" {
			if ids[id] {
				r.bad(where, "a second block %q", id)
			}
			ids[id] = true
		}
		elements, _ := b["elements"].([]any)
		actions := map[any]bool{}
		switch b["type"] {
		case "header":
			r.text(where, b["text"], 150, true)
		case "section":
			fields, _ := b["fields"].([]any)
			if len(fields) > 10 || b["text"] == nil && len(fields) == 0 {
				r.bad(where, "%d fields", len(fields))
			}
			if b["text"] != nil {
				r.text(where, b["text"], 3000, false)
			}
			for _, f := range fields {
				r.text(where+" field", f, 2000, false)
			}
			if b["accessory"] != nil {
				r.element(where, b["accessory"], actions)
			}
		case "actions":
			if len(elements) < 1 || len(elements) > 25 {
				r.bad(where, "%d elements", len(elements))
			}
			for _, e := range elements {
				r.element(where, e, actions)
			}
		case "context":
			if len(elements) < 1 || len(elements) > 10 {
				r.bad(where, "%d elements", len(elements))
			}
			for _, e := range elements {
				r.text(where, e, 3000, false)
			}
		case "divider":
		default:
			r.bad(where, "a block this test knows no rules for")
		}
	}
}

func (r *rules) element(where string, v any, seen map[any]bool) {
	e, _ := v.(map[string]any)
	id := r.length(where+" action_id", e["action_id"], 1, 255)
	if seen[id] {
		r.bad(where, "a second %q", id)
	}
	seen[id] = true
	switch e["type"] {
	case "button":
		r.text(where+" button", e["text"], 75, true)
		r.length(where+" value", e["value"], 0, 2000)
		r.length(where+" url", e["url"], 0, 3000)
		r.length(where+" accessibility_label", e["accessibility_label"], 0, 75)
		if s := e["style"]; s != nil && s != "primary" && s != "danger" {
			r.bad(where, "style %v", s)
		}
	case "overflow":
		options, _ := e["options"].([]any)
		if len(options) < 2 || len(options) > 5 {
			r.bad(where, "%d options", len(options))
		}
		for _, v := range options {
			o, _ := v.(map[string]any)
			r.text(where+" option", o["text"], 75, true)
			r.length(where+" option value", o["value"], 1, 150)
		}
	case "image":
		r.length(where+" alt_text", e["alt_text"], 1, 2000)
		r.length(where+" image_url", e["image_url"], 1, 3000)
	default:
		r.bad(where, "an element this test knows no rules for: %v", e["type"])
	}
}

// ofMessage returns what is wrong with a message.
func ofMessage(text string, blocks []slack.Block) []string {
	var r rules
	if r.length("text", text, 1, 4000); !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") &&
		!strings.HasSuffix(text, "…") {
		r.bad("text", "does not end as a sentence: %q", text)
	}
	r.marked("text", text)
	raw, err := json.Marshal(blocks)
	if err != nil {
		r.bad("blocks", "%v", err)
	}
	if blocks != nil {
		r.blocks(raw, 50)
	}
	if r.total > 13_200 {
		r.bad("blocks", "%d characters together", r.total)
	}
	return r.faults
}

// ofView returns what is wrong with a modal or a Home tab.
func ofView(view any) []string {
	var r rules
	raw, err := json.Marshal(view)
	var v map[string]any
	if err := errors.Join(err, json.Unmarshal(raw, &v)); err != nil {
		r.bad("view", "%v", err)
	}
	if len(raw) > 250_000 {
		r.bad("view", "%d bytes", len(raw))
	}
	if v["type"] == "modal" {
		r.text("title", v["title"], 24, true)
		for _, part := range []string{"submit", "close"} {
			if v[part] != nil {
				r.text(part, v[part], 24, true)
			}
		}
	}
	r.length("callback_id", v["callback_id"], 0, 255)
	r.length("private_metadata", v["private_metadata"], 0, 3000)
	blocks, err := json.Marshal(v["blocks"])
	if err != nil {
		r.bad("view", "%v", err)
	}
	r.blocks(blocks, 100)
	return r.faults
}

// saying is one thing the app can say.
type saying struct {
	name  string
	reply bot.Reply
	view  any // set: a view instead
}

// cast is what the answers are made from: ordinary, hostile and empty.
type cast struct {
	name   string
	app    install.App
	team   string
	person string
	scopes []connection.Scope
	lines  []connection.Change

	command  Command
	alsoAsks []connection.Scope // of the messages' app, so that something is missing
}

func casts() []cast {
	hostile := strings.Repeat("<!channel> <https://evil.example|x> *b* ```c``` `d` & &amp; 👩‍👩‍👧 > ", 70)[:4000]
	hostile = strings.ToValidUTF8(hostile, "")
	var sixty []connection.Scope
	for i := range 60 {
		s := described(fmt.Sprintf("thing%02d:%s", i, strings.Repeat("read", 9)))
		s.Optional, s.Feature = i%2 == 0, fmt.Sprintf("doing thing %d for everybody in the workspace", i)
		sixty = append(sixty, s)
	}
	var fifty []connection.Change
	for i := range 50 {
		fifty = append(fifty, connection.Change{At: noon, By: connection.Person("U" + strings.Repeat("A", 40)),
			What: connection.DidPermissions, Outcome: connection.OutcomeDone,
			Reason: strings.Repeat("+"+strings.Repeat("&", 900)+" -"+strings.Repeat("<", 900)+" ", 20)})
		if i%3 == 0 {
			fifty[i].What, fifty[i].Outcome = connection.DidDisconnect, connection.OutcomeFail
		}
	}
	ordinary := theApp()
	ordinary.Operator, ordinary.SupportURL, ordinary.PrivacyURL, ordinary.Version = "Acme IT", "mailto:it@example.com",
		"https://example.com/privacy", "v1.2.3"
	return []cast{
		{"ordinary", ordinary, "Acme Corp", "U0ACMEDANA", catalogue(),
			[]connection.Change{{At: noon, By: connection.Person("U1"), What: connection.DidInstall,
				Outcome: connection.OutcomeDone}}, whole, catalogue()},
		{"hostile", install.App{Name: "Switch <b> & board that is very long", Summary: hostile, DataKept: hostile,
			Operator: hostile, Version: hostile,
			SupportURL: "https://help.example.com/?" + strings.Repeat("q=1&", 100),
			PrivacyURL: "https://example.com/" + strings.Repeat("p", 500)}, hostile, "U" + strings.Repeat("A", 40), sixty, fifty,
			whole, catalogue()},
		{"empty", install.App{}, "", "", nil, nil, whole, catalogue()},
	}
}

// sayings returns everything the app says to these, in every state, to every kind of person, in every place.
func sayings(t *testing.T, c cast) (all []saying) {
	t.Helper()
	ctx := context.Background()
	add := func(r bot.Reply, format string, args ...any) {
		all = append(all, saying{name: c.name + ": " + fmt.Sprintf(format, args...), reply: r})
	}
	addView := func(v any, format string, args ...any) {
		all = append(all, saying{name: c.name + ": " + fmt.Sprintf(format, args...), view: v})
	}
	turnIn := func(byHand bool, state connection.State, org bool) turn {
		cfg := install.Config{App: c.app, PublicURL: "https://bot.example.com", Scopes: c.scopes,
			Store: historyStore{lines: c.lines}}
		if byHand {
			cfg.BotToken = "xoxb-not-a-token"
		}
		in, err := install.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		conn := connection.Connection{ID: "con_0123456789abcdef", Key: connection.Key{AppID: "A1", TeamID: "T1"},
			TeamName: c.team, EnterpriseName: c.team, TeamURL: "https://acme.slack.com/", InstalledBy: c.person,
			InstalledAt: noon, CreatedAt: noon, AuthorizedAt: noon.Add(time.Hour), AuthorizedBy: c.person, LastEventAt: noon,
			CheckedAt: noon, Installs: 3, State: state, StateSince: noon}
		conn.ExpiresAt, conn.FailingSince, conn.RenewAt, conn.Tries = noon, noon, noon, 3
		if org {
			conn.EnterpriseID, conn.TeamID = "E1", ""
		}
		if state == connection.NotConnected {
			conn = connection.Connection{}
		}
		return turn{command: c.command, Request: &bot.Request{Install: bot.InstallationOf(in, conn.Key, conn),
			UserID: cmp.Or(c.person, "U9"), UserTeam: "T1", ChannelID: "C1", Ref: "7F3K2QX",
			Log: slog.New(slog.DiscardHandler), Connection: conn}}
	}
	places := []audience{private, direct, public}
	people := []standing{unknown, stranger, guest, member, keeper}
	for _, byHand := range []bool{false, true} {
		for _, org := range []bool{false, true} {
			if byHand && org {
				continue // there is no such thing
			}
			for _, state := range []connection.State{connection.Active, connection.Limited, connection.Retrying,
				connection.ReconnectRequired, connection.Removed, connection.Paused, connection.NotConnected, connection.Unknown} {
				tn := turnIn(byHand, state, org)
				h := tn.Health()
				switch state {
				case connection.Limited:
					h.State = connection.Limited
				case connection.Unknown:
					h.State, h.Reason, h.LastKnown, h.Label = connection.Unknown, connection.ReasonSlackSilent, connection.Active,
						c.app.Words.Say("connections.state.unknown")
				case connection.ReconnectRequired:
					h.WorksUntil = noon
				}
				h.ReasonText = cmp.Or(connection.ReasonText(c.app.Words, h.Reason),
					connection.ReasonText(c.app.Words, connection.ReasonTokenRevoked))
				at := fmt.Sprintf("%s, by hand %v, organisation %v", state, byHand, org)
				for _, is := range people {
					who := viewer{standing: is, details: true, installerLeft: org}
					if len(c.lines) > 1 {
						who.permissions = c.lines[1]
					}
					for _, who.audience = range places {
						for _, tn.Shared = range []bool{false, true} {
							for _, asOf := range []string{asOf(tn, h), untilLive(tn, h), tooSoon(tn, h, who)} {
								who.details, who.answered = false, asOf != untilLive(tn, h)
								add(statusReply(tn, h, who, asOf), "status %s, %v, %v, %s", at, is, who.audience, asOf)
								who.details = true
								add(statusReply(tn, h, who, asOf), "details %s, %v, %v, %s", at, is, who.audience, asOf)
							}
						}
						tn.Shared = false
						for _, w := range vocabulary(nil) {
							add(w.answer(ctx, tn, ask{to: who.audience, is: is}), "%s %s, %v, %v", w.name, at, is, who.audience)
							add(answer(ctx, tn, w.name, who.audience), "typed %s %s, %v", w.name, at, who.audience)
						}
					}
					home := homeBlocks(tn, h, who, "Done.")
					addView(slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: home}}, "home %s, %v", at,
						is)
					addView(window(tn, tn.plain("title.details"), detailsAtHome(ctx, tn)), "details in a window %s, %v", at, is)
					addView(window(tn, tn.plain("title.details"), detailsInWindow(tn, h, who)), "details in a window %s, %v", at, is)
					if h.Found {
						p := permissionsReply(tn, h, is, who.permissions)
						add(p, "permissions %s, %v", at, is)
						addView(window(tn, c.app.Name+"x", p), "permissions in a window %s, %v", at, is)
					}
					for _, n := range []int{0, 1, 200} {
						if state != connection.Active {
							break // it is not told of in the list of channels
						}
						var found []slack.Channel
						theirs := map[string]bool{}
						for i := range n {
							var ch slack.Channel
							ch.ID, ch.Name, ch.IsPrivate = fmt.Sprintf("C%d", i), fmt.Sprintf("%d-%s", i, c.team), i%2 == 0
							found, theirs[ch.ID] = append(found, ch), i%4 == 0
						}
						for _, missing := range [][]string{nil, {readsPublic}, {readsPublic, readsPrivate}} {
							add(channelsReply(tn, is, found, theirs, n < 200, missing), "%d channels, without %v, %s, %v", n, missing, at,
								is)
						}
					}
				}
				if !byHand {
					add(offer(tn), "offer %s", at)
					view, err := farewell(tn)
					if err != nil {
						t.Error(err)
					}
					addView(view, "farewell %s", at)
				}
				told := c.command.Messages(install.Config{App: c.app, Scopes: slices.Concat(c.scopes, c.alsoAsks)})
				add(written(t, func(client *slack.Client) error {
					_, _, err := told.Tell(ctx, client, "U1", h)
					return err
				}), "notice %s", at)
				add(written(t, func(client *slack.Client) error {
					return told.Resolve(ctx, client, connection.Notice{At: noon, Reason: h.Reason}, h)
				}), "resolved %s", at)
				add(written(t, func(client *slack.Client) error {
					return told.Welcome(ctx, client, tn.Connection, "https://bot.example.com/slack/install?link=x")
				}), "welcome %s", at)
				add(written(t, func(client *slack.Client) error {
					_, _, err := told.TellMissing(ctx, client, "U1",
						install.MissingScopes{Connection: tn.Connection, Scopes: c.scopes,
							GrantURL: "https://bot.example.com/slack/install?connection=con_1"})
					return err
				}), "missing %s", at)
			}
		}
	}
	tn := turnIn(false, connection.Active, false)
	add(history(ctx, tn, ask{is: keeper}), "history")
	addView(window(tn, "x", history(ctx, tn, ask{is: keeper})), "history in a window")
	add(support(ctx, tn, ask{}), "support")
	for _, typed := range []string{"", "statsu", "frobnicate", "how is the weather over there",
		strings.Repeat("<!channel>", 400), strings.Repeat("x", 4000), "help disconnect", "help frobnicate", "help statsu"} {
		add(answer(ctx, tn, typed, direct), "typed %.40q", typed)
	}
	codes := []string{"not_in_channel", "channel_not_found", "is_archived", "restricted_action", "ekm_access_denied",
		"org_login_required", "team_access_not_granted", "missing_scope", "messages_tab_disabled", "expired_trigger_id",
		"ratelimited", "internal_error", "account_inactive", "token_revoked", "token_expired", "invalid_auth",
		"zombie_`<apocalypse>", strings.Repeat("x&", 2000)}
	failures := []error{nil, connection.ErrByHand, connection.ErrNotConnected, connection.ErrRenewing,
		context.DeadlineExceeded, &slack.RateLimitedError{RetryAfter: time.Hour}}
	for _, code := range codes {
		failures = append(failures, slack.SlackErrorResponse{Err: code})
	}
	for _, err := range failures {
		for _, said := range []string{"", "ok", "account_inactive"} {
			r := disconnected(tn, said, err)
			add(r, "disconnected %q %.40v", said, err)
			addView(window(tn, tn.plain("title.disconnect"), r), "disconnected in the window %q %.40v", said, err)
		}
		if err != nil {
			add(bot.Reply{Text: slackSaid(tn, err, "users:read", "team:read")}, "Slack said %.40v", err)
			add(bot.Reply{Text: slackSaid(tn, err)}, "Slack said %.40v", err)
		}
	}
	return all
}

func TestEverythingFitsSlack(t *testing.T) {
	t.Parallel()
	sim := smallSlack(t)
	client := installed(t, sim, slacksim.AcmeAdmin, slacksim.Choice{})
	ctx := context.Background()
	sent, faulty := map[string]bool{}, 0
	for _, c := range casts() {
		for _, s := range sayings(t, c) {
			var faults []string
			switch {
			case s.view != nil:
				faults = ofView(s.view)
			case s.reply.Text == "" && s.reply.Blocks == nil:
				continue
			default:
				faults = ofMessage(s.reply.Text, s.reply.Blocks)
			}
			// slacksim knows the same rules from other hands; what is the same to it is sent once.
			var err error
			raw, _ := json.Marshal([]any{s.reply.Text, s.reply.Blocks, s.view})
			if !sent[string(raw)] {
				sent[string(raw)] = true
				switch v := s.view.(type) {
				case slack.HomeTabViewRequest:
					_, err = client.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: slacksim.AcmeAdmin, View: v})
				case nil:
					_, _, err = client.PostMessageContext(ctx, slacksim.AcmeAdmin, slack.MsgOptionText(s.reply.Text, false),
						slack.MsgOptionBlocks(s.reply.Blocks...))
				}
			}
			if faults != nil || err != nil {
				if faulty++; faulty < 20 {
					t.Errorf("%s: %q, slacksim: %v", s.name, faults, err)
				}
			}
		}
	}
	if t.Logf("%d different things were said, %d of all have faults", len(sent), faulty); len(sent) < 500 {
		t.Error("so little can't be all")
	}
}

// A bot's own name for the command is the one that everything goes by, in every state and to everybody.
func TestEverythingGoesByTheCommandsName(t *testing.T) {
	t.Parallel()
	ordinary := casts()[0]
	ordinary.command = Command{Name: "/hello-status", Mentions: true, DirectMessages: true, Home: true}
	ordinary.app.Name, ordinary.app.Commands = "Hello", ordinary.command.Commands()
	ordinary.scopes = bot.Catalogue(nil, nil, ordinary.command.Handlers())

	named := 0
	for _, s := range sayings(t, ordinary) {
		said, err := json.Marshal([]any{s.reply.Text, s.reply.Blocks, s.view})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(said), "/connection") || strings.Contains(string(said), "Switchboard") {
			t.Errorf("%s: %s", s.name, said)
		}
		if strings.Contains(string(said), "/hello-status") {
			named++
		}
	}
	if named < 100 {
		t.Errorf("only %d name the command", named)
	}
}

// The rules themselves: each fault is found by them, and by slacksim where slacksim knows the rule.
func TestRulesOfSlackAreKnown(t *testing.T) {
	sim := smallSlack(t)
	client := installed(t, sim, slacksim.AcmeAdmin, slacksim.Choice{})
	text := func(n int) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.MarkdownType, strings.Repeat("x", n), false, false)
	}
	words := func(n int) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.PlainTextType, strings.Repeat("x", n), false, false)
	}
	button := func(change func(b *slack.ButtonBlockElement)) []slack.Block {
		b := slack.NewButtonBlockElement("a", "", words(1))
		change(b)
		return []slack.Block{slack.NewActionBlock("", b)}
	}
	many := func(n int, b slack.Block) (list []slack.Block) {
		for range n {
			list = append(list, b)
		}
		return list
	}
	buttons := func(n int, same bool) []slack.Block {
		var list []slack.BlockElement
		for i := range n {
			id := fmt.Sprint("a", i)
			if same {
				id = "a"
			}
			list = append(list, slack.NewButtonBlockElement(id, "", words(1)))
		}
		return []slack.Block{slack.NewActionBlock("", list...)}
	}
	option := func(n int) *slack.OptionBlockObject { return slack.NewOptionBlockObject("v", words(n), nil) }
	for name, test := range map[string]struct {
		text   string
		blocks []slack.Block
		ours   bool // slacksim takes it: Slack does, too, and people would not like it
	}{
		"no text":          {"", many(1, slack.NewDividerBlock()), true},
		"no sentence":      {"Working", nil, true},
		"a long text":      {strings.Repeat("x", 4000) + ".", nil, true},
		"an open tag":      {"<@U1.", nil, true},
		"a bare &":         {"you & me.", nil, true},
		"everybody's name": {"<!channel>.", nil, true},
		"51 blocks":        {"x.", many(51, slack.NewDividerBlock()), false},
		"a long section":   {"x.", many(1, slack.NewSectionBlock(text(3001), nil, nil)), false},
		"an empty section": {"x.", many(1, slack.NewSectionBlock(text(0), nil, nil)), false},
		"11 fields": {"x.", many(1, slack.NewSectionBlock(nil,
			[]*slack.TextBlockObject{text(1), text(1), text(1), text(1), text(1), text(1), text(1), text(1), text(1), text(1),
				text(1)}, nil)), false},
		"a long field":    {"x.", many(1, slack.NewSectionBlock(nil, []*slack.TextBlockObject{text(2001)}, nil)), false},
		"a long header":   {"x.", many(1, slack.NewHeaderBlock(words(151))), false},
		"a marked header": {"x.", many(1, slack.NewHeaderBlock(text(1))), false},
		"a long button":   {"x.", button(func(b *slack.ButtonBlockElement) { b.Text = words(76) }), false},
		"a long value": {"x.", button(func(b *slack.ButtonBlockElement) {
			b.Value = strings.Repeat("x", 2001)
		}), false},
		"a long address": {"x.", button(func(b *slack.ButtonBlockElement) {
			b.URL = "https://x/" + strings.Repeat("x", 3000)
		}), false},
		"a long label": {"x.", button(func(b *slack.ButtonBlockElement) {
			b.AccessibilityLabel = strings.Repeat("x", 76)
		}), false},
		"an unknown style": {"x.", button(func(b *slack.ButtonBlockElement) { b.Style = "loud" }), false},
		"26 buttons":       {"x.", buttons(26, false), false},
		"one id twice":     {"x.", buttons(2, true), false},
		"one block twice": {"x.", many(2, slack.NewActionBlock("b", slack.NewButtonBlockElement("a", "", words(1)))),
			false},
		"11 in a context": {"x.", many(1, slack.NewContextBlock("", text(1), text(1), text(1), text(1), text(1), text(1),
			text(1), text(1), text(1), text(1), text(1))), false},
		"6 choices": {"x.", many(1, slack.NewActionBlock("",
			slack.NewOverflowBlockElement("a", option(1), option(1), option(1), option(1), option(1), option(1)))), false},
		"1 choice": {"x.", many(1, slack.NewActionBlock("", slack.NewOverflowBlockElement("a", option(1)))), true},
		"a long choice": {"x.", many(1, slack.NewActionBlock("",
			slack.NewOverflowBlockElement("a", option(76), option(1)))), false},
		"an image unspoken": {"x.", many(1, slack.NewSectionBlock(text(1), nil,
			slack.NewAccessory(slack.NewImageBlockElement("https://x/y", "")))), false},
		"all blocks together": {"x.", many(5, slack.NewSectionBlock(text(3000), nil, nil)), true},
	} {
		faults := ofMessage(test.text, test.blocks)
		if len(faults) == 0 {
			t.Errorf("%s: the rules of this test find nothing", name)
		}
		_, _, err := client.PostMessageContext(context.Background(), slacksim.AcmeAdmin,
			slack.MsgOptionText(cmp.Or(test.text, "x"), false), slack.MsgOptionBlocks(test.blocks...))
		if (err == nil) != test.ours {
			t.Errorf("%s: slacksim says %v", name, err)
		}
	}
	for name, v := range map[string]slack.ModalViewRequest{
		"a long title": {Type: slack.VTModal, Title: words(25),
			Blocks: slack.Blocks{BlockSet: many(1, slack.NewDividerBlock())}},
		"a long button": {Type: slack.VTModal, Title: words(1), Close: words(25),
			Blocks: slack.Blocks{BlockSet: many(1, slack.NewDividerBlock())}},
		"101 blocks": {Type: slack.VTModal, Title: words(1),
			Blocks: slack.Blocks{BlockSet: many(101, slack.NewDividerBlock())}},
		"much to remember": {Type: slack.VTModal, Title: words(1), PrivateMetadata: strings.Repeat("x", 3001),
			Blocks: slack.Blocks{BlockSet: many(1, slack.NewDividerBlock())}},
	} {
		if len(ofView(v)) == 0 {
			t.Errorf("%s: the rules of this test find nothing", name)
		}
	}
}
