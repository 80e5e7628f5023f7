package bot_test

// Every kind of handler, as Slack sends what it is for, in every way in which it can go, over HTTP and through a
// socket, and timers when their time comes; what is durable through an inbox on SQLite. The tables say all of it.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
	"github.com/switchboard-go/switchboard/storage/timers"
)

// together are the columns of outcomes: those of a line are played in one Slack, which takes so many calls in a minute.
// The last two need other handlers.
var together = [][]string{
	{"done", "late", "never", "twice", "again"}, {"error", "no", "panic", "theirs"}, {"needs"}, {"admitted"},
}

// outcomes is what comes of each kind in each situation: how often its handler runs, and where the person reads what.
//
// The handler is done in time, is late, or never ends; it answers twice, or Slack sends twice what it is for; it fails,
// says no (a UserError), or panics; who acts is of another company (theirs), also where the handler is External
// (admitted), or a permission is missing (needs). It happens in a thread of a channel or of a DM (talk), in a DM, in
// Home, in a modal, or nowhere (-).
//
// Where the outcome is a dash there is no such situation: timers come through no transport and are nobody's, one that
// is scheduled twice is the same one, and what recurs can't be. External is only for what is refused to other
// companies.
//
// An answer goes with the acknowledgement (ack), to the response_url (url), or by a method of Slack's: a message
// (post), one that only the person sees (whisper), a window (open, update), the Home tab (publish), a link (unfurl), or
// the end of a step (complete, fail). Where nothing is said, it is tried again or in the log, and there is nobody to
// tell.
const outcomes = `
kind, places                       | done            | late                    | never
event, thread dm                   | 1 post says     | 1 post says             | 1 ended
message, thread dm talk            | 1 post says     | 1 post says             | 1 ended
mention, thread                    | 1 post says     | 1 post says             | 1 ended
function, -                        | 1 complete says | 1 complete says         | 1 ended
link, thread dm talk               | 1 unfurl says   | 1 unfurl says           | 1 ended
home, home                         | 1 publish says  | 1 publish says          | 1 ended, publish long
command, thread dm                 | 1 ack says      | 1 ack late, url says    | 1 ack late, ended, url stopped
async command, thread dm           | 1 url says      | 1 url says              | 1 ended
action, thread dm talk             | 1 url says      | 1 url says              | 1 ended, url stopped
action, home                       | 1 open says     | 1 open says             | 1 ended, open stopped
action, modal                      | 1 push says     | 1 push says             | 1 ended, push stopped
async action, thread dm talk       | 1 url says      | 1 url says              | 1 ended
async action, home modal           | 1 post says     | 1 post says             | 1 ended
view, -                            | 1 ack says      | 1 ack late, update says | 1 ack late, ended, update stopped
async view, -                      | 1 post says     | 1 post says             | 1 ended
view_closed, -                     | 1               | 1                       | 1 ended, post stopped
shortcut, -                        | 1 open says     | 1 open says             | 1 ended, open stopped
message_shortcut, thread dm talk   | 1 url says      | 1 url says              | 1 ended, url stopped
options, thread dm talk home modal | 1 ack says      | 1 ack nothing           | 1 ack nothing, ended
agent_message, dm talk             | 1 post says     | 1 post says             | 1 ended
agent_opened, dm                   | 1 offer says    | 1 offer says            | 1 ended
agent_context, dm                  | 1 post says     | 1 post says             | 1 ended
agent_title, talk                  | 1 post says     | 1 post says             | 1 ended
agent_stopped, talk                | 1 post says     | 1 post says             | 1 ended
timer, -                           | 1 post says     | 1 post says             | 1 ended
every, -                           | 1 post says     | 1 post says             | 1 ended
cron, -                            | 1 post says     | 1 post says             | 1 ended

kind, places                       | twice                         | again                  | error
event, thread dm                   | 1 post again, post says       | 1 post says            | 1
message, thread dm talk            | 1 post again, post says       | 1 post says            | 1
mention, thread                    | 1 post again, post says       | 1 post says            | 1
function, -                        | 1 complete says               | 1 complete says        | 1
link, thread dm talk               | 1 unfurl again, unfurl says   | 1 unfurl says          | 1
home, home                         | 1 publish again, publish says | 1 publish says         | 1 publish wrong
command, thread dm                 | 1 ack says                    | 2 ack says, ack says   | 1 ack wrong
async command, thread dm           | 1 url again, url says         | 2 url says, url says   | 1
action, thread dm talk             | 1 url says                    | 2 url says, url says   | 1 url wrong
action, home                       | 1 open says                   | 2 open says, open says | 1 open wrong
action, modal                      | 1 push says                   | 2 push says, push says | 1 push wrong
async action, thread dm talk       | 1 url again, url says         | 2 url says, url says   | 1
async action, home modal           | 1 post again, post says       | 2 post says, post says | 1
view, -                            | 1 ack says                    | 2 ack says, ack says   | 1 ack wrong
async view, -                      | 1 post again, post says       | 2 post says, post says | 1
view_closed, -                     | 1                             | 2                      | 1 post wrong
shortcut, -                        | 1 open says                   | 2 open says, open says | 1 open wrong
message_shortcut, thread dm talk   | 1 url says                    | 2 url says, url says   | 1 url wrong
options, thread dm talk home modal | 1 ack says                    | 2 ack says, ack says   | 1 ack nothing
agent_message, dm talk             | 1 post again, post says       | 1 post says            | 1
agent_opened, dm                   | 1 offer again, offer says     | 1 offer says           | 1
agent_context, dm                  | 1 post again, post says       | 1 post says            | 1
agent_title, talk                  | 1 post again, post says       | 1 post says            | 1
agent_stopped, talk                | 1 post again, post says       | 1 post says            | 1
timer, -                           | 1 post again, post says       | 1 post says            | 1
every, -                           | 1 post again, post says       | -                      | 1
cron, -                            | 1 post again, post says       | -                      | 1

kind, places                       | no            | panic           | theirs          | admitted    | needs
event, thread                      | 1 whisper no  | 1               | 1 post says     | -           | 0
event, dm                          | 1 post no     | 1               | 1 post says     | -           | 0
message, thread                    | 1 whisper no  | 1               | 1 post says     | -           | 0 whisper needs
message, dm talk                   | 1 post no     | 1               | 1 post says     | -           | 0 post needs
mention, thread                    | 1 whisper no  | 1               | 1 post says     | -           | 0 whisper needs
function, -                        | 1 fail no     | 1               | 1 complete says | -           | 0 fail needs
link, thread                       | 1 whisper no  | 1               | 1 unfurl says   | -           | 0
link, dm talk                      | 1 post no     | 1               | 1 unfurl says   | -           | 0
home, home                         | 1 publish no  | 1 publish wrong | 1 publish says  | -           | 0 publish needs
command, thread dm                 | 1 ack no      | 1 ack wrong     | 1 ack says      | -           | 0 ack needs
async command, thread dm           | 1 url no      | 1               | 1 url says      | -           | 0 url needs
action, thread dm talk             | 1 url no      | 1 url wrong     | 0 url theirs    | 1 url says  | 0 url needs
action, home                       | 1 open no     | 1 open wrong    | 0 open theirs   | 1 open says | 0 open needs
action, modal                      | 1 push no     | 1 push wrong    | 0 push theirs   | 1 push says | 0 push needs
async action, thread dm talk       | 1 url no      | 1               | 0 url theirs    | 1 url says  | 0 url needs
async action, home                 | 1 open no     | 1               | 0 open theirs   | 1 post says | 0 open needs
async action, modal                | 1 push no     | 1               | 0 push theirs   | 1 post says | 0 push needs
view, -                            | 1 ack no      | 1 ack wrong     | 0 ack theirs    | 1 ack says  | 0 ack needs
async view, -                      | 1 open no     | 1               | 0 open theirs   | 1 post says | 0 open needs
view_closed, -                     | 1 post no     | 1 post wrong    | 0               | 1           | 0 post needs
shortcut, -                        | 1 open no     | 1 open wrong    | 0 open theirs   | -           | 0 open needs
message_shortcut, thread dm talk   | 1 url no      | 1 url wrong     | 0 url theirs    | -           | 0 url needs
options, thread dm talk home modal | 1 ack nothing | 1 ack nothing   | 0 ack nothing   | 1 ack says  | 0 ack nothing
agent_message, dm talk             | 1 post no     | 1               | 1 post says     | -           | 0 post needs
agent_opened, dm                   | 1 post no     | 1               | 1 offer says    | -           | 0
agent_context, dm                  | 1 post no     | 1               | 1 post says     | -           | 0
agent_title, talk                  | 1 post no     | 1               | 1 post says     | -           | 0
agent_stopped, talk                | 1 post no     | 1               | 1 post says     | -           | 0
timer, -                           | 1             | 1               | -               | -           | 0
every, -                           | 1             | 1               | -               | -           | 0
cron, -                            | 1             | 1               | -               | -           | 0
`

// payload is what Slack sends for a kind, in braces what differs.
type payload struct {
	kind   string
	raw    string // event, command or interaction, which Slack sends; or time, which comes
	places string
	body   string
}

const (
	root = "1790000001.000100" // of the thread
	acts = `"api_app_id":"A0PARROT01","team":{"id":"{team}"},"user":{"id":"{user}","team_id":"{side}"},` +
		`"trigger_id":"tr-{cell}"`
	pressed = `{"type":"block_actions",` + acts +
		`,{where},"actions":[{"type":"button","block_id":"b","action_id":"{id}","value":"v"}]}`
	form = `{"type":"{id}",` + acts +
		`,"view":{"id":"V0{cell}","type":"modal","callback_id":"{form}","state":{"values":{}}}}`
	short = `{"type":"{id}",` + acts + `,"callback_id":"{id}","action_ts":"1790000009.1"`
	typed = `command={id}&text=it&api_app_id=A0PARROT01&team_id={team}&user_id={user}&channel_id={channel}` +
		`&response_url={url}&trigger_id=tr-{cell}`
	wrote = `"user":"{user}","user_team":"{side}","channel":"{channel}","channel_type":"{type}",` +
		`"ts":"1790000003.000100"{thread}`
)

var payloads = []payload{
	{"event", "event", "thread dm", `{"type":"reaction_added","user":"{user}","user_team":"{side}","reaction":"eyes",` +
		`"item":{"type":"message","channel":"{channel}","ts":"1790000002.000200"}}`},
	{"message", "event", "thread dm talk", `{"type":"message","text":"say it",` + wrote + `}`},
	{"mention", "event", "thread", `{"type":"app_mention","text":"ask it",` + wrote + `}`},
	{"function", "event", "-", `{"type":"function_executed","function":{"id":"Fn1","callback_id":"step","type":"app"},` +
		`"inputs":{"who":"{user}"},"function_execution_id":"Fx{cell}","workflow_execution_id":"Wx1",` +
		`"event_ts":"1790000020.000100","bot_access_token":"xwfp-1"}`},
	{"link", "event", "thread dm talk",
		`{"type":"link_shared","user":"{user}","user_team":"{side}","channel":"{channel}",` +
			`"message_ts":"1790000003.000100"{thread},"unfurl_id":"C1.{cell}","source":"conversations_history",` +
			`"links":[{"domain":"tickets.example.com","url":"https://tickets.example.com/1"}],"is_bot_user_member":true}`},
	{"home", "event", "home", `{"type":"app_home_opened","user":"{user}","channel":"{channel}","tab":"home"}`},
	{"command", "command", "thread dm", strings.ReplaceAll(typed, "{id}", "%2Fdo")},
	{"async command", "command", "thread dm", strings.ReplaceAll(typed, "{id}", "%2Flater")},
	{"action", "interaction", "thread dm talk home modal", strings.ReplaceAll(pressed, "{id}", "press")},
	{"async action", "interaction", "thread dm talk home modal", strings.ReplaceAll(pressed, "{id}", "later")},
	{"view", "interaction", "-", strings.NewReplacer("{id}", "view_submission", "{form}", "form").Replace(form)},
	{"async view", "interaction", "-", strings.NewReplacer("{id}", "view_submission", "{form}", "later").Replace(form)},
	{"view_closed", "interaction", "-", strings.NewReplacer("{id}", "view_closed", "{form}", "form",
		`,"trigger_id":"tr-{cell}"`, "").Replace(form)},
	{"shortcut", "interaction", "-", strings.ReplaceAll(short, "{id}", "shortcut") + `}`},
	{"message_shortcut", "interaction", "thread dm talk", strings.ReplaceAll(short, "{id}", "message_action") +
		`,"message_ts":"1790000002.000200",{where}}`},
	{"agent_message", "event", "dm talk", `{"type":"message","text":"agent, do it",` + wrote + `}`},
	{"agent_opened", "event", "dm",
		`{"type":"app_home_opened","user":"{user}","user_team":"{side}","channel":"{channel}",` +
			`"tab":"messages","event_ts":"1790000003.000100"}`},
	{"agent_stopped", "event", "talk", `{"type":"agent_session_stopped","user":"{user}","user_team":"{side}",` +
		`"channel":"{channel}"{thread},"event_ts":"1790000003.000200"}`},
	{"agent_title", "event", "talk", `{"type":"agent_session_title_changed","user":"{user}","user_team":"{side}",` +
		`"channel":"{channel}"{thread},"title":"Mine","event_ts":"1790000003.000200"}`},
	{"agent_context", "event", "dm", `{"type":"app_context_changed","user":"{user}","user_team":"{side}",` +
		`"channel":"{channel}","context":{},"event_ts":"1790000003.000200"}`},
	{"options", "interaction", "thread dm talk home modal",
		`{"type":"block_suggestion",` + acts + `,{where},"block_id":"b","action_id":"menu","value":"a"}`},
	{"timer", "time", "-", ""}, {"every", "time", "-", ""}, {"cron", "time", "-", ""},
}

// fill is a body with what differs in it.
func (p payload) fill(cell, situation, place, slackURL string) []byte {
	channel, kind, thread := "C0"+cell, "channel", ""
	message := `"message":{"type":"message","ts":"1790000002.000200","text":"Shall I?"`
	if place == "thread" || place == "talk" {
		thread = `,"thread_ts":"` + root + `"`
	}
	if place != "thread" {
		channel, kind = "D0"+cell, "im"
	}
	address := slackURL + "/hooks/response/T1/1/" + cell
	where := `"container":{"type":"message","message_ts":"1790000002.000200","channel_id":"` + channel + `"` + thread +
		`},"channel":{"id":"` + channel + `"},` + message + thread + `},"response_url":"` + address + `"`
	if place == "home" || place == "modal" {
		where = `"container":{"type":"view","view_id":"V0` + cell + `"},"view":{"id":"V0` + cell + `","type":"` + place + `"}`
	}
	side := slacksim.Acme
	if situation == "theirs" {
		side = slacksim.Birch
	}
	body := strings.NewReplacer("{where}", where).Replace(p.body)
	body = strings.NewReplacer("{cell}", cell, "{user}", "U0"+cell, "{team}", slacksim.Acme, "{side}", side,
		"{channel}", channel, "{type}", kind, "{thread}", thread, "{url}", url.QueryEscape(address)).Replace(body)
	switch p.raw {
	case "event":
		return fmt.Appendf(nil, `{"type":"event_callback","event_id":"Ev%s","event_time":1790000003,"team_id":%q,`+
			`"api_app_id":"A0PARROT01","authorizations":[{"team_id":%[2]q,"user_id":"U0PARROT","is_bot":true}],"event":%s}`,
			cell, slacksim.Acme, body)
	case "interaction":
		return []byte(url.Values{"payload": {body}}.Encode())
	}
	return []byte(body)
}

// cell is one kind in one situation and place.
type cell struct {
	payload
	id, situation, place string
	threaded             bool          // it happens in a thread
	release              chan struct{} // ends what is late

	mu    sync.Mutex
	runs  int
	notes []string
}

func (c *cell) note(words string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, words)
}

// came is what came of it, as outcomes has it.
func (c *cell) came() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	notes := slices.Clone(c.notes)
	slices.Sort(notes)
	return strings.TrimSpace(fmt.Sprint(c.runs, " ", strings.Join(notes, ", ")))
}

// methods are the places where something is said, in short.
var methods = map[string]string{
	"chat.postMessage": "post", "chat.postEphemeral": "whisper", "views.open": "open", "views.update": "update",
	"views.push": "push", "assistant.threads.setSuggestedPrompts": "offer",
	"views.publish": "publish", "chat.unfurl": "unfurl", "functions.completeSuccess": "complete",
	"functions.completeError": "fail",
}

// drill has handlers of all kinds, and hears what they and the library say to Slack.
type drill struct {
	next  http.RoundTripper
	mu    sync.Mutex
	cells map[string]*cell
}

// RoundTrip takes what is said to people, who aren't in this Slack, and hands on the rest.
func (d *drill) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	given, _ := url.ParseQuery(string(body))
	place, to := path.Base(r.URL.Path),
		given.Get("channel")+" "+given.Get("user")+" "+given.Get("user_id")+" "+given.Get("channel_id")+" "+
			given.Get("trigger_id")+" "+given.Get("view_id")+" "+given.Get("function_execution_id")+" "+given.Get("unfurl_id")
	if strings.HasPrefix(r.URL.Path, "/hooks/") {
		place, to = "url", r.URL.Path
	} else if r.Header.Get("Content-Type") == "application/json" {
		to = string(body)
	}

	c := d.cellIn(to)
	if c == nil {
		return d.next.RoundTrip(r)
	}
	for _, v := range given {
		body = append(body, strings.Join(v, " ")...)
	}
	if p := methods[place]; p != "" {
		place = p
	}
	if place != "agents.sessions.setStatus" && place != "conversations.replies" { // which say nothing
		c.note(place + " " + c.class(string(body)))
	}
	if c.threaded && slices.Contains([]string{"post", "whisper", "url"}, place) && !strings.Contains(string(body), root) {
		c.note("outside of the thread")
	}
	return &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"ok":true,"ts":"1.2","channel":"C1","view":{"id":"V1"}}`))}, nil
}

// cellIn is the cell that something names.
func (d *drill) cellIn(text string) *cell {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, c := range d.cells {
		if strings.Contains(text, id) {
			return c
		}
	}
	return nil
}

// class says in a word what is said.
func (c *cell) class(text string) string {
	for _, known := range [][2]string{
		{c.id + " says", "says"}, {c.id + " again", "again"}, {c.id + " no", "no"}, {"went wrong", "wrong"},
		{"too long", "long"},
		{"takes longer than Slack", "late"}, {"this was interrupted", "stopped"}, {"Only people at", "theirs"},
		{"allow", "needs"}, {"have permission", "needs"}, {`{"options":[]}`, "nothing"},
	} {
		if strings.Contains(text, known[0]) {
			return known[1]
		}
	}
	return text
}

// run is the work of every handler: what the situation of its cell asks for, which is named by who acted, or what.
func (d *drill) run(ctx context.Context, kind string, r *bot.Request, answer func(text string) error) error {
	id := r.UserID
	if r.Step != nil {
		id = r.Step.ExecutionID
	}
	return d.runFor(ctx, id, kind, r, answer)
}

func (d *drill) runFor(ctx context.Context, id, kind string, r *bot.Request, answer func(text string) error) error {
	c := d.cellIn(id)
	if c == nil {
		return nil
	}
	c.mu.Lock()
	again := r.Attempt > 1 && c.runs > 0 // of one that waited for Slack's limits alone, this is the first run
	if !again {
		c.runs++
	}
	c.mu.Unlock()
	if again {
		return nil
	}
	if c.kind != kind {
		c.note("ran " + kind)
	}
	if (r.ThreadTS == root) != c.threaded {
		c.note("in thread " + r.ThreadTS)
	}

	switch c.situation {
	case "late":
		<-c.release
	case "never":
		<-ctx.Done()
		c.note("ended")
		return ctx.Err()
	case "error":
		return errors.New("out of luck")
	case "no":
		return &bot.UserError{Text: c.id + " no"}
	case "panic":
		panic("out of luck")
	case "twice":
		err := answer(c.id + " says")
		if second := answer(c.id + " again"); second != nil && !errors.Is(second, bot.ErrAnswered) {
			return second
		}
		return err
	}
	return answer(c.id + " says")
}

// respond answers by what most kinds have.
func respond(ctx context.Context, by responder) func(string) error {
	return func(text string) error { return by.Respond(ctx, bot.Text(text)) }
}

// say answers by what kinds in a conversation have.
func say1(ctx context.Context, by interface {
	Say(context.Context, bot.Reply) (string, error)
}) func(string) error {
	return func(text string) error { _, err := by.Say(ctx, bot.Text(text)); return err }
}

// handlers are one of each kind.
func (d *drill) handlers(options ...bot.Option) []bot.Handler {
	with := func(more ...bot.Option) []bot.Option { return slices.Concat(more, options) }
	durable := func(more ...bot.Option) []bot.Option {
		return with(append(more, bot.Timeout(8*time.Second))...)
	}
	described, titled := bot.Describe("does it", ""), bot.Titled("Do it", "Does it.")
	type inputs struct {
		Who string `json:"who" slack:"user_id"`
	}
	return append(d.timed(durable(bot.Scopes("chat:write"))...),
		bot.OnEvent("reaction_added", func(ctx context.Context, e *bot.Event[slackevents.ReactionAddedEvent]) error {
			return d.run(ctx, "event", e.Request, say1(ctx, e))
		}, durable(bot.Scopes("reactions:read", "chat:write"))...),
		bot.OnMessage("^say", func(ctx context.Context, m *bot.Message) error {
			return d.run(ctx, "message", m.Request, say1(ctx, m))
		}, durable(bot.Scopes("channels:history", "im:history"))...),
		bot.OnMention("^ask", func(ctx context.Context, m *bot.Message) error {
			return d.run(ctx, "mention", m.Request, say1(ctx, m))
		}, durable()...),
		bot.OnFunction("step", func(ctx context.Context, f *bot.Function[inputs]) error {
			return d.run(ctx, "function", f.Request, func(text string) error {
				return f.Complete(ctx, map[string]any{"text": text, "who": f.Inputs.Who})
			})
		}, durable(titled)...),
		bot.OnLink("example.com", func(ctx context.Context, l *bot.Link) error {
			return d.run(ctx, "link", l.Request, func(text string) error {
				words := slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", text, false, false), nil, nil)
				return l.Unfurl(ctx, map[string][]slack.Block{l.URLs[0]: {words}})
			})
		}, durable()...),
		bot.OnHomeOpened(func(ctx context.Context, h *bot.Home) error {
			return d.run(ctx, "home", h.Request, func(text string) error {
				return h.Publish(ctx, slack.HomeTabViewRequest{Blocks: modal(text).Blocks})
			})
		}, durable()...),
		bot.OnCommand("/do", func(ctx context.Context, c *bot.Command) error {
			return d.run(ctx, "command", c.Request, respond(ctx, c))
		}, with(described)...),
		bot.OnCommandAsync("/later", func(ctx context.Context, c *bot.AsyncCommand) error {
			return d.run(ctx, "async command", c.Request, respond(ctx, c))
		}, durable(described)...),
		bot.OnAction("press", func(ctx context.Context, a *bot.Action) error {
			return d.run(ctx, "action", a.Request, respond(ctx, a))
		}, with()...),
		bot.OnActionAsync("later", func(ctx context.Context, a *bot.AsyncAction) error {
			return d.run(ctx, "async action", a.Request, respond(ctx, a))
		}, durable()...),
		bot.OnViewSubmission("form", func(ctx context.Context, s *bot.Submission) error {
			return d.run(ctx, "view", s.Request, respond(ctx, s))
		}, with()...),
		bot.OnViewSubmissionAsync("later", func(ctx context.Context, s *bot.AsyncSubmission) error {
			return d.run(ctx, "async view", s.Request, respond(ctx, s))
		}, durable()...),
		bot.OnViewClosed("form", func(ctx context.Context, v *bot.ViewClosed) error {
			return d.run(ctx, "view_closed", v.Request, func(string) error { return nil })
		}, with()...),
		bot.OnShortcut("shortcut", func(ctx context.Context, s *bot.Shortcut) error {
			return d.run(ctx, "shortcut", s.Request, respond(ctx, s))
		}, with(titled)...),
		bot.OnMessageShortcut("message_action", func(ctx context.Context, s *bot.Shortcut) error {
			return d.run(ctx, "message_shortcut", s.Request, respond(ctx, s))
		}, with(titled)...),
		bot.OnAgentMessage("^agent", func(ctx context.Context, a *bot.Thread) error {
			return d.run(ctx, "agent_message", a.Request, say1(ctx, a))
		}, durable()...),
		bot.OnAgentOpened(func(ctx context.Context, a *bot.Thread) error {
			return d.run(ctx, "agent_opened", a.Request, func(text string) error {
				return a.Suggest(ctx, text, bot.Prompt{Title: "Do it", Message: "do it"})
			})
		}, durable()...),
		bot.OnAgentStopped(func(ctx context.Context, a *bot.Thread) error {
			return d.run(ctx, "agent_stopped", a.Request, say1(ctx, a))
		}, durable()...),
		bot.OnAgentTitle(func(ctx context.Context, a *bot.Thread) error {
			return d.run(ctx, "agent_title", a.Request, say1(ctx, a))
		}, durable()...),
		bot.OnAgentContext(func(ctx context.Context, a *bot.Thread) error {
			return d.run(ctx, "agent_context", a.Request, say1(ctx, a))
		}, durable()...),
		bot.OnOptions("menu", func(ctx context.Context, o *bot.Options) error {
			return d.run(ctx, "options", o.Request, func(text string) error { return o.Reply(bot.NewOption(text, "v")) })
		}, with()...))
}

// timed are handlers of timers: one for all that is scheduled, and one for each cell with what recurs.
func (d *drill) timed(options ...bot.Option) (handlers []bot.Handler) {
	work := func(kind string, id func(*bot.Timer) string) func(context.Context, *bot.Timer) error {
		return func(ctx context.Context, r *bot.Timer) error {
			return d.runFor(ctx, id(r), kind, r.Request, func(text string) error {
				_, err := r.Say(ctx, "C0"+id(r), bot.Text(text))
				return err
			})
		}
	}
	handlers = append(handlers, bot.OnTimer("timer", work("timer", func(r *bot.Timer) string { return r.Key }),
		options...))
	for id, c := range d.cells {
		named := append(slices.Clip(options), bot.Named(id))
		switch cell := func(*bot.Timer) string { return id }; c.kind {
		case "every":
			handlers = append(handlers, bot.Every(time.Hour, work("every", cell), named...))
		case "cron":
			handlers = append(handlers, bot.Cron("0 9 * * *", work("cron", cell), named...))
		}
	}
	return handlers
}

// clock keeps timers. The time of what recurs comes when the test begins, and is over for a day then.
type clock struct {
	*timers.Timers
	begun atomic.Bool
	comes sync.Map // cell → a channel that is closed when its time comes
}

// coming is closed when the time of a cell comes.
func (c *clock) coming(id string) chan struct{} {
	ch, _ := c.comes.LoadOrStore(id, make(chan struct{}))
	return ch.(chan struct{})
}

func (c *clock) came(id string) bool {
	select {
	case <-c.coming(id):
		return true
	default:
		return false
	}
}

func (c *clock) Recur(all []bot.Recurring) {
	all = slices.Clone(all)
	for i, r := range all {
		all[i].Next = func(_ string, now time.Time) (slot, due time.Time) {
			if c.came(r.Name) {
				now = now.Add(24 * time.Hour)
			}
			return now, now
		}
	}
	c.Timers.Recur(all)
}

func (c *clock) Next(ctx context.Context, names []string) (map[string]time.Time, error) {
	if !c.begun.Load() {
		names = nil
	}
	return c.Timers.Next(ctx, names)
}

func (c *clock) Fire(ctx context.Context, name string, n int, deliver func(bot.Due) bot.Delivery) (int, error) {
	return c.Timers.Fire(ctx, name, n, func(d bot.Due) bot.Delivery {
		id := cmp.Or(d.Timed.Key, d.Name)
		if !c.came(id) { // a process fires one after the other
			close(c.coming(id))
		}
		return deliver(d)
	})
}

// begin schedules what the cells are about that is scheduled, and lets time go on.
func (c *clock) begin(t *testing.T, s scene, cells map[string]*cell) {
	t.Helper()
	of := s.row(t)
	home := bot.ValueOwner{ConnectionID: of.ID, AppID: of.AppID, TeamID: of.TeamID}
	for id, x := range cells {
		for n := 0; n < x.times() && x.kind == "timer"; n++ {
			timed := bot.Timed{Name: "timer", Key: id, At: time.Now(), Data: []byte("{}")}
			if err := c.Schedule(ctx, home, timed); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.begun.Store(true)
	c.Wake()
}

// deliver waits for the time of a cell.
func (c *clock) deliver(t *testing.T, x *cell) {
	defer close(x.release)
	select {
	case <-c.coming(x.id):
	case <-time.After(20 * time.Second):
		t.Errorf("the time of %s, %s, never came", x.kind, x.situation)
	}
}

// times is how often Slack sends what a cell is about.
func (c *cell) times() int {
	if c.situation == "again" {
		return 2
	}
	return 1
}

// deliver sends what a cell is about, and notes what the acknowledgement says.
func (c *cell) deliver(t *testing.T, sim *slacksim.Sim) {
	for range c.times() {
		ack := sim.Sender.Deliver(ctx, slacksim.Raw{Kind: c.raw, Body: c.fill(c.id, c.situation, c.place, sim.URL())})
		if ack.Status != http.StatusOK || ack.Err != "" {
			t.Errorf("%s in %s, %s: acknowledged with %d %s", c.kind, c.place, c.situation, ack.Status, ack.Err)
		}
		if len(ack.Body) > 0 {
			c.note("ack " + c.class(string(ack.Body)))
		}
	}
	close(c.release)
}

// table reads outcomes: the columns by their head, and the kind and place of each line.
func table(text string) (want map[[3]string]string) {
	want = map[[3]string]string{}
	var heads []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		columns := strings.Split(line, "|")
		kind, places, _ := strings.Cut(columns[0], ",")
		if kind == "kind" {
			heads = columns
		}
		for place := range strings.FieldsSeq(places) {
			for i, c := range columns[1:] {
				want[[3]string{kind, place, strings.TrimSpace(heads[i+1])}] = strings.TrimSpace(c)
			}
		}
	}
	return want
}

// admitting are the kinds of handlers that can be External.
var admitting = []bot.Kind{bot.KindAction, bot.KindViewSubmission, bot.KindViewClosed, bot.KindOptions}

// lacking is a permission that every handler asks for where one is missing.
const lacking = "pins:read"

// newDrill has a cell for each kind that comes this way in each situation that it can be in.
func newDrill(way string, situations []string, want map[[3]string]string) *drill {
	d := &drill{cells: map[string]*cell{}}
	for _, p := range payloads {
		if (p.raw == "time") != (way == "time") {
			continue
		}
		for _, place := range strings.Fields(p.places) {
			for _, situation := range situations {
				if want[[3]string{p.kind, place, situation}] == "-" {
					continue
				}
				id := fmt.Sprintf("Z%03dQ", len(d.cells))
				d.cells[id] = &cell{payload: p, id: id, situation: situation, place: place, release: make(chan struct{}),
					threaded: (place == "thread" || place == "talk") && (strings.Contains(p.body, "{thread}") ||
						strings.Contains(p.body, "{where}"))}
			}
		}
	}
	return d
}

// handlersFor are d's, as the situations need them.
func (d *drill) handlersFor(situations []string) []bot.Handler {
	if slices.Contains(situations, "needs") {
		return d.handlers(bot.Scopes(lacking))
	}
	handlers := d.handlers()
	for i, h := range handlers {
		if slices.Contains(situations, "admitted") && slices.Contains(admitting, h.Kind) {
			bot.External()(&handlers[i])
		}
	}
	return handlers
}

// practise plays situations, some at the same time, in a Slack that sends over HTTP or through a socket, or what comes
// with time.
func practise(t *testing.T, way string, situations []string) {
	want := table(outcomes)
	d, hands := newDrill(way, situations, want), &clock{}
	if len(d.cells) == 0 {
		return
	}
	s := playWith(t, storagetest.SQLite(t), func(c *bot.Config) {
		d.next = cmp.Or(c.Install.Slack().HTTP.Transport, http.DefaultTransport)
		c.Install.Slack().HTTP.Transport = d
		c.Workers = 2000
		bot.AckWithin(time.Second)(c)
		hands.Timers = c.Timers.(*timers.Timers)
		c.Timers = hands
		if way == "socket" {
			c.AppToken = "xapp-1-A0PARROT01-1"
		}
	}, d.handlersFor(situations)...)
	if way == "socket" {
		s.overSockets(t)
	}
	if slices.Contains(situations, "needs") {
		s.without(t, lacking)
	}

	if way == "time" {
		hands.begin(t, s, d.cells)
	}
	var all sync.WaitGroup
	turns := make(chan struct{}, 16) // Slack waits for 3 s, which a slow machine needs for all at the same time
	for _, c := range d.cells {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if c.raw == "time" {
				hands.deliver(t, c)
			} else {
				c.deliver(t, s.sim)
			}
		})
	}
	all.Wait()
	deadline, interrupted := time.Now().Add(40*time.Second), false
	missing := func() (left []*cell) {
		for _, c := range d.cells {
			if c.came() != want[[3]string{c.kind, c.place, c.situation}] {
				left = append(left, c)
			}
		}
		return left
	}
	for left := missing(); len(left) > 0 && time.Now().Before(deadline); left = missing() {
		if !interrupted && !slices.ContainsFunc(left, func(c *cell) bool { return c.situation != "never" }) {
			bot.Interrupt(s.bot)
			interrupted = true
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.finish()
	for _, c := range missing() {
		t.Errorf("%s in %s, %s: %s, want %s", c.kind, c.place, c.situation, c.came(),
			want[[3]string{c.kind, c.place, c.situation}])
	}
	if t.Failed() {
		t.Log(d.table(situations))
	}
}

// table is what came of all cells.
func (d *drill) table(situations []string) string {
	text := "kind place | " + strings.Join(situations, " | ")
	for _, p := range payloads {
		for _, place := range strings.Fields(p.places) {
			text += fmt.Sprintf("\n%-16s %-6s", p.kind, place)
			for _, situation := range situations {
				for _, c := range d.cells {
					if c.kind == p.kind && c.place == place && c.situation == situation {
						text += " | " + c.came()
					}
				}
			}
		}
	}
	return text
}

// overSockets has this Slack send through a socket from now on.
func (s scene) overSockets(t *testing.T) {
	t.Helper()
	s.sim.SetApp(func(a *slacksim.App) { a.SocketMode, a.AppToken = true, "xapp-1-A0PARROT01-1" })
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.bot.RunSockets(run) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	wait(t, s.sim, "a socket", func() bool { return len(s.sim.Sockets.Live()) > 0 })
}

// without takes a permission away, as Slack does, and the connection knows.
func (s scene) without(t *testing.T, scope string) {
	t.Helper()
	if err := s.sim.Admins.Permit(slacksim.Acme, nil, []string{scope}); err != nil {
		t.Fatal(err)
	}
	_, err := s.db.Update(ctx, s.row(t).Key, func(c *connection.Connection) error {
		c.Scopes = slices.DeleteFunc(c.Scopes, func(s string) bool { return s == scope })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryKindInEverySituation(t *testing.T) {
	for _, way := range []string{"HTTP", "socket", "time"} {
		for _, situations := range together {
			t.Run(way+" "+situations[0], func(t *testing.T) {
				t.Parallel()
				practise(t, way, situations)
			})
		}
	}
}

// Middleware that refuses a person keeps durable work's modal closed, too. Who is let in is counted once by RateLimit.
func TestMiddlewareGuardsTheModal(t *testing.T) {
	t.Parallel()
	done := make(chan string, 2)
	s := play(t, bot.OnCommandAsync("/close", func(_ context.Context, c *bot.AsyncCommand) error {
		done <- c.ViewID
		return nil
	}, bot.Scopes("users:read", "chat:write"), bot.Describe("closes it", ""),
		bot.OpensModal(func(context.Context, *bot.Request) (slack.ModalViewRequest, error) {
			return modal("One moment."), nil
		}), bot.Use(bot.AdminsOnly(), bot.RateLimit(1, time.Hour))))

	if r := command(t, s, slacksim.AcmeMember, "/close"); !strings.Contains(r.Text, "Only workspace admins") {
		t.Errorf("a member reads %q", r.Text)
	}
	if n := len(s.sim.Calls("views.open")); n != 0 {
		t.Errorf("%d modals were opened for a member", n)
	}
	command(t, s, slacksim.AcmeAdmin, "/close")
	id := "" // of a modal, unless the work that it was opened for was refused
	select {
	case id = <-done:
	case <-time.After(10 * time.Second):
	}
	if id == "" || len(s.sim.OpenViews(slacksim.AcmeAdmin)) != 1 {
		t.Errorf("an admin's modal: %q", id)
	}
	if r := command(t, s, slacksim.AcmeAdmin, "/close"); !strings.Contains(r.Text, "too often") {
		t.Errorf("the second time: %q", r.Text)
	}
}
