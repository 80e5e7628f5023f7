package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/markdown"
	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// A field of an answer that does nothing where it stands is named, with its handler, and counted.
func TestIdleFieldOfAnAnswer(t *testing.T) {
	t.Parallel()
	everybody := Reply{Text: "Hm.", InChannel: true}
	b, numbers, log := counted(t, nil,
		OnCommand("/x", func(ctx context.Context, c *Command) error { return c.Respond(ctx, everybody) },
			Describe("x", ""), WithoutConnection()),
		OnViewSubmission("x", func(ctx context.Context, s *Submission) error { return s.Respond(ctx, everybody) },
			WithoutConnection()))
	for _, test := range []struct {
		of   string
		d    transport.Delivery
		idle []string
	}{
		{"command /x", transport.Delivery{Kind: transport.KindCommands,
			Form: url.Values{"command": {"/x"}, "team_id": {"T1"}}}, nil},
		{"view x", transport.Delivery{Kind: transport.KindInteractive, Body: []byte(
			`{"type":"view_submission","api_app_id":"A1","team":{"id":"T1"},"user":{"id":"U1"},"view":{"id":"V1",` +
				`"callback_id":"x"}}`)},
			[]string{"idle_field"}},
	} {
		before := series(t, numbers)
		a, err := b.accept(t.Context(), test.d)
		if err != nil || !strings.Contains(string(a.Body), "Hm.") {
			t.Errorf("%s is answered with %s, %v", test.of, a.Body, err)
		}
		steps(t, test.of, "switchboard_lost_answers_total cause=", before, series(t, numbers), test.idle...)
		if said := strings.Contains(log.String(), `of="`+test.of+`" fields=InChannel`); said != (test.idle != nil) {
			t.Errorf("%s: it is said %v in\n%s", test.of, said, log)
		}
	}
}

// One act has one answer. A handler that goes on behind the error has the first one, one that returns it has failed.
func TestSecondAnswer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"goes on": "First.", "returns it": "Something went wrong"} {
		b, _, _ := counted(t, nil, OnCommand("/x", func(ctx context.Context, c *Command) error {
			first, second := c.Respond(ctx, Text("First.")), c.Respond(ctx, Text("Second."))
			if first != nil || !errors.Is(second, ErrAnswered) {
				t.Errorf("answered with %v, and then %v", first, second)
			}
			if c.Text == "goes on" {
				return nil
			}
			return second
		}, Describe("x", ""), WithoutConnection()))
		a, err := b.accept(t.Context(), transport.Delivery{Kind: transport.KindCommands,
			Form: url.Values{"command": {"/x"}, "text": {text}, "team_id": {"T1"}}})
		if err != nil || !strings.Contains(string(a.Body), want) {
			t.Errorf("one that %s is answered with %s, %v", text, a.Body, err)
		}
	}
}

// What is said of the whole goes with the first of several messages, a view takes no markdown block and 100 blocks, and
// what is replaced keeps its place.
func TestWhatAReplyBecomes(t *testing.T) {
	t.Parallel()
	long := slack.NewMarkdownBlock("", strings.Repeat("A line of some words.\n\n", 700))
	r := Reply{Blocks: []slack.Block{long}, Metadata: &slack.SlackMetadata{EventType: "made"}, AlsoInChannel: true,
		Username: "Robot"}
	parts := r.parts(nil)
	for i, p := range parts {
		if first := i == 0; (p.Metadata != nil) != first || p.AlsoInChannel != first {
			t.Errorf("message %d of %d: metadata %v, in the channel %v", i, len(parts), p.Metadata, p.AlsoInChannel)
		}
		for _, b := range p.Blocks {
			if md := b.(*slack.MarkdownBlock); utf8.RuneCountInString(md.Text) > markdown.Most {
				t.Errorf("message %d has a block of %d characters", i, utf8.RuneCountInString(md.Text))
			}
		}
	}
	if len(parts) < 2 {
		t.Errorf("it is %d messages", len(parts))
	}

	dividers := make([]slack.Block, maxViewBlocks+1)
	for i := range dividers {
		dividers[i] = slack.NewDividerBlock()
	}
	for _, r := range []Reply{r, {Markdown: long.Text}, {Blocks: dividers}, {Text: long.Text}} {
		blocks := r.viewBlocks(nil)
		for _, b := range blocks {
			if b.BlockType() == slack.MBTMarkdown {
				t.Error("a view has a markdown block")
			}
		}
		if len(blocks) == 0 || len(blocks) > maxViewBlocks {
			t.Errorf("a view has %d blocks", len(blocks))
		}
	}

	for _, named := range []bool{false, true} {
		_, form, err := slack.UnsafeApplyMsgOptions("xoxb-1", "C1", "", parts[0].forEverybody("1.1", named)...)
		if err != nil || (form.Get("username") == "Robot") != named || form.Get("thread_ts") != "1.1" {
			t.Errorf("named %v: %v, %v", named, form, err)
		}
	}
	if m := parts[0].message(true, "1.1"); m.ThreadTS != "" || m.ResponseType != "" || !*m.ReplaceOriginal {
		t.Errorf("in the place of another: %+v", m)
	}
	if m := parts[0].message(false, "1.1"); m.ThreadTS != "1.1" || m.ResponseType != "ephemeral" {
		t.Errorf("beside another: %+v", m)
	}
}

// Where there is no way to answer so, the handler hears why.
func TestAnswersThatDontGo(t *testing.T) {
	t.Parallel()
	address, calls := saying(t, `{"ok":true,"channel":"C1","ts":"1.1"}`)
	ann := func(change func(*Request)) *Request {
		r := ofAnn(t, address, nil, "chat:write")
		r.ChannelID, r.handler, r.TriggerID = "C1", &Handler{}, "1.2"
		change(r)
		return r
	}
	open := func(change func(*Request)) error {
		_, err := modals{ann(change)}.OpenModal(t.Context(), slack.ModalViewRequest{})
		return err
	}
	if err := open(func(r *Request) { r.Client = nil }); !errors.Is(err, connection.ErrNotConnected) {
		t.Errorf("a modal without a connection: %v", err)
	}
	if err := open(func(r *Request) { r.TriggerID = "" }); err == nil || calls.Load() > 0 {
		t.Errorf("a modal without a trigger: %v, %d calls", err, calls.Load())
	}
	files := Reply{Files: []File{{Name: "a.txt"}}}
	if err := (asyncResponder{ann(func(*Request) {})}).Respond(t.Context(), files); !errors.Is(err, errFilesPublic) {
		t.Errorf("files for one person: %v", err)
	}

	// Of an answer whose second part fails the first one stands, and is not posted again.
	refused := &UserError{Text: "No."}
	for failure, want := range map[error]error{errors.New("broken"): nil, refused: refused} {
		r := Text("One.")
		r.Then = func(context.Context) (Reply, error) { return Reply{}, failure }
		if ts, err := (sayer{ann(func(*Request) {})}).Say(t.Context(), r); ts != "1.1" || !errors.Is(err, want) {
			t.Errorf("the second part fails with %v: said %q, %v", failure, ts, err)
		}
	}
}

// A response_url takes five posts, and none after half an hour.
func TestHowLongAResponseURLTakes(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_790_000_000, 0)
	for _, test := range []struct {
		said  []string
		later time.Duration
		takes bool
	}{
		{nil, 0, true}, {nil, 30*time.Minute - time.Second, true}, {nil, 30 * time.Minute, false},
		{[]string{"response response", "1790000000.000100", "response response"}, time.Minute, true},
		{[]string{"response response", "response response response"}, time.Minute, false},
	} {
		s := &said{event: &Delivery{Received: began, Said: test.said}, now: func() time.Time { return began.Add(test.later) }}
		if s.mayRespond() != test.takes {
			t.Errorf("after %s and %q: it takes one is %v", test.later, test.said, !test.takes)
		}
	}
}

// A handler in a shared channel takes whom the payload doesn't place for somebody of the other company.
func TestWhoIsExternal(t *testing.T) {
	t.Parallel()
	for shared, want := range map[bool]bool{false: false, true: true} {
		ran, external := false, false
		b, _ := loggedBot(t, nil, OnEvent("reaction_added", func(_ context.Context, e *Event[struct{}]) error {
			ran, external = true, e.External()
			return nil
		}, Scopes("reactions:read"), WithoutConnection()))
		body := fmt.Appendf(nil, `{"type":"event_callback","event_id":"Ev1","api_app_id":"A1","team_id":"T1",`+
			`"is_ext_shared_channel":%t,"event":{"type":"reaction_added","user":"U1"}}`, shared)
		e := &Delivery{Kind: transport.KindEvents, Type: "reaction_added", Key: connection.Key{AppID: "A1", TeamID: "T1"},
			Body: body}
		if err := b.handle(t.Context(), e, nil); err != nil || !ran || external != want {
			t.Errorf("shared %v: external %v, ran %v, %v", shared, external, ran, err)
		}
	}
}

// What is pressed in a message without a response_url is answered there, but nothing is shown beside it to somebody of
// another company, who may not be in that channel. While our records are away the connection that the handler had must
// do.
func TestAnswersBesideAMessage(t *testing.T) {
	t.Parallel()
	b, _ := loggedBot(t, nil, oneOf("action"))
	for _, test := range []struct {
		reply            Reply
		replace, outside bool
		want             string // the method that says it
	}{
		{Reply{Text: "Done."}, false, false, "chat.postEphemeral"},
		{Reply{Text: "Done.", InChannel: true}, false, false, "chat.postMessage"},
		{Reply{Text: "Done."}, true, false, "chat.update"},
		{Reply{Text: "For you.", private: true}, true, false, "chat.postEphemeral"},
		{Reply{Text: "Done."}, false, true, ""},
		{Reply{Text: "Done."}, true, true, "chat.update"},
	} {
		var called []string
		slackAt := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called = append(called, path.Base(r.URL.Path))
			_, _ = w.Write([]byte(`{"ok":true,"channel":"C1","ts":"1.1"}`))
		}))
		r := ofAnn(t, slackAt.URL, nil, "chat:write")
		r.ChannelID, r.pressedTS, r.outsider = "C1", "1.1", test.outside
		to := &reach{act: act{key: r.Key, team: "T1", fill: func(*Request) {}}}
		err := b.answers.deliver(t.Context(), &result{reply: test.reply, req: r}, to, test.replace)
		slackAt.Close()
		if got := strings.Join(called, " "); got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%+v, replace %v, outside %v: %q, want %q; %v", test.reply, test.replace, test.outside, got,
				test.want, err)
		}
	}
}
