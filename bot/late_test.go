package bot_test

// Answers that come after the acknowledgement: of commands, buttons and forms whose handlers take longer than Slack
// waits.

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const ackSoon = 200 * time.Millisecond

// hurried is a scene whose bot acknowledges for late handlers soon.
func hurried(t *testing.T, handlers ...bot.Handler) (s scene, numbers *prometheus.Registry) {
	t.Helper()
	numbers = prometheus.NewRegistry()
	s = playWith(t, storagetest.SQLite(t), func(c *bot.Config) {
		bot.AckWithin(ackSoon)(c)
		c.Metrics = numbers
	}, handlers...)
	return s, numbers
}

// late reports how many late answers came to this.
func late(t *testing.T, numbers *prometheus.Registry, result string) int {
	t.Helper()
	families, err := numbers.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "switchboard_late_answers_total" && m.GetLabel()[0].GetValue() == result {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	t.Errorf("no number of late answers that were %s", result)
	return 0
}

// responder is what can be answered.
type responder interface {
	Respond(ctx context.Context, r bot.Reply) error
}

// ending is how a handler of kind K ends.
type ending[K any] func(ctx context.Context, t K) error

// answer is an ending with r.
func answer(r bot.Reply) ending[responder] {
	return func(ctx context.Context, t responder) error { return t.Respond(ctx, r) }
}

// held is a handler's work that keeps to its context, and ends as it is told when it is released.
func held[K any](release chan ending[K]) ending[K] {
	return func(ctx context.Context, t K) error {
		select {
		case end := <-release:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return end(ctx, t)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answered waits for the text of the post to a response_url that has these words.
func answered(t *testing.T, s scene, words string) {
	t.Helper()
	wait(t, s.sim, words, func() bool {
		for _, c := range s.sim.Calls("response_url") {
			if c.Done && strings.Contains(c.Arg("text"), words) {
				return true
			}
		}
		return false
	})
}

// A handler that keeps to its context and takes longer than Slack waits is answered late: a command in the place of the
// sentence that promised it, a button as a message.
func TestLateAnswerArrives(t *testing.T) {
	t.Parallel()
	release := make(chan ending[responder])
	work := held(release)
	s, numbers := hurried(t,
		bot.OnCommand("/late", func(ctx context.Context, t *bot.Command) error {
			return work(ctx, t)
		}, bot.Scopes("chat:write"), bot.Describe("takes its time", "")),
		bot.OnAction("late", func(ctx context.Context, t *bot.Action) error {
			return work(ctx, t)
		}, bot.Scopes("chat:write")))
	if r := command(t, s, slacksim.AcmeMember, "/late"); !strings.Contains(r.Text, "The answer follows here") ||
		r.Took > time.Second {
		t.Fatalf("the acknowledgement, after %v: %q", r.Took, r.Text)
	}
	release <- answer(bot.Reply{Text: "Here it is.", Then: func(context.Context) (bot.Reply, error) {
		return bot.Reply{Text: "And more."}, nil
	}})
	answered(t, s, "Here it is.")
	answered(t, s, "And more.")
	if n := said(s.sim, slacksim.AcmeGeneral, "The answer follows here"); n != 0 {
		t.Errorf("the promise still stands %d times", n)
	}

	if _, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, s.button(t, "late", ""), "late"); err != nil {
		t.Fatal(err)
	}
	release <- answer(bot.Reply{Text: "Pressed."})
	answered(t, s, "Pressed.")
	until(t, "the numbers", func() bool { return late(t, numbers, "delivered") == 2 && late(t, numbers, "lost") == 0 })
}

// A late answer that Slack takes no longer comes as a message that only the person sees; one that nobody takes is
// counted.
func TestLateAnswerThatSlackRefuses(t *testing.T) {
	t.Parallel()
	release := make(chan ending[responder])
	work := held(release)
	s, numbers := hurried(t, bot.OnCommand("/late", func(ctx context.Context, t *bot.Command) error {
		return work(ctx, t)
	}, bot.Scopes("chat:write"), bot.Describe("takes its time", "")),
		bot.OnCommandAsync("/slow", func(ctx context.Context, c *bot.AsyncCommand) error {
			return c.Respond(ctx, bot.Text("for durable work"))
		}, bot.Scopes("chat:write"), bot.Describe("is durable", "")))
	clear := s.sim.Inject(slacksim.Fault{Method: "response_url", Status: 404, Body: "expired_url"})
	command(t, s, slacksim.AcmeMember, "/slow")
	reads := func(text string) bool {
		return slices.ContainsFunc(s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember),
			func(m slacksim.Message) bool { return m.EphemeralTo == slacksim.AcmeMember && m.Text == text })
	}
	wait(t, s.sim, "the answer of durable work", func() bool { return reads("for durable work") })
	clear()
	for _, method := range []string{"response_url", "chat.postEphemeral"} {
		s.sim.Inject(slacksim.Fault{Method: method, Status: 404, Body: "expired_url"})
		command(t, s, slacksim.AcmeMember, "/late")
		release <- answer(bot.Reply{Text: "for " + method})
		until(t, "the end of "+method, func() bool {
			return late(t, numbers, "delivered")+late(t, numbers, "lost") > 0 && len(s.sim.Calls(method)) > 0
		})
	}
	until(t, "the second end", func() bool { return late(t, numbers, "lost") == 1 })
	if !reads("for response_url") || late(t, numbers, "delivered") != 1 {
		t.Error("the first one was not delivered")
	}
}

// A stop ends late work, and its person is told; so is whoever waits for work that fails late.
func TestLateWorkThatEndsIsSaid(t *testing.T) {
	t.Parallel()
	failing := errors.New("paid, and then the receipt could not be written")
	release := make(chan struct{})
	s, numbers := hurried(t,
		bot.OnCommand("/late", func(ctx context.Context, _ *bot.Command) error {
			<-ctx.Done()
			return ctx.Err()
		}, bot.Scopes("chat:write"), bot.Describe("takes its time", "")),
		bot.OnCommand("/fails", func(context.Context, *bot.Command) error {
			<-release
			return failing
		}, bot.Scopes("chat:write"), bot.Describe("fails", "")))
	command(t, s, slacksim.AcmeMember, "/fails")
	close(release)
	answered(t, s, "Something went wrong on our side.")
	command(t, s, slacksim.AcmeMember, "/late")
	bot.Interrupt(s.bot)
	answered(t, s, "this was interrupted")
	if late(t, numbers, "interrupted") != 1 {
		t.Error("not counted")
	}
	for _, c := range s.sim.Calls("response_url") {
		if strings.Contains(c.Arg("text"), "Nothing was changed") {
			t.Errorf("nobody knows that: %q", c.Arg("text"))
		}
	}
}

// form is a modal with an input of each kind that keeps what is put into it.
const formBlocks = `[
	{"type":"section","text":{"type":"mrkdwn","text":"Which *project*?"}},
	{"type":"input","block_id":"project","label":{"type":"plain_text","text":"Project"},"element":{"type":"plain_text_input","action_id":"a","initial_value":"first"}},
	{"type":"input","block_id":"size","label":{"type":"plain_text","text":"Size"},"element":{"type":"static_select","action_id":"a","options":[
		{"text":{"type":"plain_text","text":"Small"},"value":"s"},{"text":{"type":"plain_text","text":"Large"},"value":"l"}]}},
	{"type":"input","block_id":"due","optional":true,"label":{"type":"plain_text","text":"Due"},"element":{"type":"datepicker","action_id":"a"}},
	{"type":"input","block_id":"who","optional":true,"label":{"type":"plain_text","text":"Who"},"element":{"type":"multi_users_select","action_id":"a","initial_users":["U0OTHER"]}}]`

// openForm has a person open the form with a command, and returns its id.
func openForm(t *testing.T, s scene) string {
	t.Helper()
	command(t, s, slacksim.AcmeMember, "/form")
	views := s.sim.OpenViews(slacksim.AcmeMember)
	if len(views) != 1 {
		t.Fatalf("%d forms", len(views))
	}
	return views[0].ID
}

var asksForForm = bot.OnCommand("/form", func(ctx context.Context, t *bot.Command) error {
	view := modal("")
	view.CallbackID, view.PrivateMetadata, view.Submit = "form", "kept",
		slack.NewTextBlockObject("plain_text", "Send", false, false)
	if err := view.Blocks.UnmarshalJSON([]byte(formBlocks)); err != nil {
		return err
	}
	_, err := t.OpenModal(ctx, view)
	return err
}, bot.Scopes("chat:write"), bot.Describe("opens a form", ""))

// What is wrong with a form that was answered late is shown in the form, which has what the person put in; it can be
// sent again.
func TestLateFormShowsItsErrors(t *testing.T) {
	t.Parallel()
	release := make(chan ending[*bot.Submission])
	work := held(release)
	s, _ := hurried(t, asksForForm, bot.OnViewSubmission("form", func(ctx context.Context, t *bot.Submission) error {
		if t.Payload.View.State.Values["project"]["a"].Value == "second" && t.Payload.View.PrivateMetadata == "kept" {
			return t.Respond(ctx, bot.Reply{Text: "Saved."})
		}
		return work(ctx, t)
	}))
	id := openForm(t, s)
	inputs := map[string]map[string]string{"project": {"a": "none <such>"}, "size": {"a": "l"}, "due": {"a": "2026-12-01"},
		"who": {"a": slacksim.AcmeMember}}
	if _, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, id, inputs); err != nil {
		t.Fatal(err)
	}
	shown := func() string { return string(s.sim.OpenViews(slacksim.AcmeMember)[0].Blocks) }
	if !strings.Contains(shown(), "takes longer") {
		t.Errorf("meanwhile it shows %s", shown())
	}
	release <- func(_ context.Context, t *bot.Submission) error {
		return t.Errors(map[string]string{"project": "There is no such project.", "elsewhere": "And it is Sunday."})
	}
	wait(t, s.sim, "the errors", func() bool { return strings.Contains(shown(), "There is no such project.") })
	for _, part := range []string{"And it is Sunday.", "Which *project*?", `"initial_value":"none <such>"`,
		`"initial_option":{"text":`, `"initial_date":"2026-12-01"`, `"initial_users":["` + slacksim.AcmeMember + `"]`} {
		if !strings.Contains(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(shown()), part) {
			t.Errorf("it does not show %s: %s", part, shown())
		}
	}
	inputs["project"]["a"] = "second"
	if ack, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, id, inputs); err != nil || ack.Err != "" ||
		!strings.Contains(shown(), "Saved.") {
		t.Errorf("sent again: %v %+v %s", err, ack, shown())
	}
}

// A form that is done late says so, and one that was closed meanwhile is answered by direct message.
func TestLateFormIsAnswered(t *testing.T) {
	t.Parallel()
	release := make(chan ending[*bot.Submission])
	work := held(release)
	s, _ := hurried(t, asksForForm, bot.OnViewSubmission("form", func(ctx context.Context, t *bot.Submission) error {
		return work(ctx, t)
	}))
	for _, test := range []struct {
		end  ending[*bot.Submission]
		want string
	}{
		{func(context.Context, *bot.Submission) error { return nil }, "Done."},
		{func(ctx context.Context, t *bot.Submission) error {
			return t.Respond(ctx, bot.Reply{Text: "Saved it."})
		}, "Saved it."},
		{func(_ context.Context, t *bot.Submission) error { return t.Update(modal("The page.")) }, "The page."},
		{func(_ context.Context, t *bot.Submission) error { return t.Push(modal("The next.")) }, "The next."},
		{func(_ context.Context, t *bot.Submission) error { return t.Clear() }, "Done."},
	} {
		id := openForm(t, s)
		if _, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, id,
			map[string]map[string]string{"size": {"a": "l"}}); err != nil {
			t.Fatal(err)
		}
		release <- test.end
		wait(t, s.sim, test.want, func() bool {
			return strings.Contains(string(s.sim.OpenViews(slacksim.AcmeMember)[0].Blocks), test.want)
		})
		if _, err := s.sim.CloseView(ctx, slacksim.AcmeMember, id, true); err != nil {
			t.Fatal(err)
		}
	}

	id := openForm(t, s)
	if _, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, id,
		map[string]map[string]string{"size": {"a": "l"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.sim.CloseView(ctx, slacksim.AcmeMember, id, true); err != nil {
		t.Fatal(err)
	}
	release <- func(_ context.Context, t *bot.Submission) error {
		return t.Errors(map[string]string{"project": "There is no such project."})
	}
	wait(t, s.sim, "a direct message", func() bool {
		return said(s.sim, s.sim.DM(slacksim.AcmeMember), "There is no such project.") == 1
	})
}

// What OpensModal builds has an end, so that the acknowledgement goes out in time: nothing is begun, and the person is
// told.
func TestOpensDoesNotHoldUpTheAcknowledgement(t *testing.T) {
	t.Parallel()
	stuck, ended, ran := make(chan struct{}), make(chan struct{}), make(chan struct{}, 9)
	work := func(context.Context, *bot.AsyncCommand) error {
		ran <- struct{}{}
		return nil
	}
	s, _ := hurried(t,
		bot.OnCommandAsync("/form", work, bot.Scopes("chat:write"), bot.Describe("opens a form", ""),
			bot.OpensModal(func(context.Context, *bot.Request) (slack.ModalViewRequest, error) {
				<-stuck
				return modal("One moment."), nil
			})),
		bot.OnCommandAsync("/look", work, bot.Scopes("chat:write"), bot.Describe("looks first", ""),
			bot.OpensModal(func(ctx context.Context, _ *bot.Request) (slack.ModalViewRequest, error) {
				<-ctx.Done()
				close(ended)
				return modal("One moment."), nil
			})),
		bot.OnCommandAsync("/panic", work, bot.Scopes("chat:write"), bot.Describe("panics first", ""),
			bot.OpensModal(func(context.Context, *bot.Request) (slack.ModalViewRequest, error) { panic("out of luck") })))
	for line, want := range map[string]string{"/form": "nothing was begun", "/look": "nothing was begun",
		"/panic": "Something went wrong"} {
		if r := command(t, s, slacksim.AcmeMember, line); r.Took > time.Second || r.Err != "" ||
			!strings.Contains(r.Text, want) {
			t.Errorf("%s is acknowledged after %v (%s) with %q", line, r.Took.Round(time.Millisecond), r.Err, r.Text)
		}
	}
	receive(t, ended, "the end of what opens a window")
	close(stuck)
	s.finish()
	if n := len(s.sim.Calls("views.open")); n != 0 || len(ran) != 0 {
		t.Errorf("%d windows were opened, and %d handlers ran", n, len(ran))
	}
}

// A slow command or button opened its modal and could not be kept: the modal says so, and does not hang for ever.
func TestModalOfSlowWorkThatIsNotKept(t *testing.T) {
	t.Parallel()
	opens := func(context.Context, *bot.Request) (slack.ModalViewRequest, error) { return modal("One moment."), nil }
	s, _ := hurried(t,
		bot.OnActionAsync("go", func(context.Context, *bot.AsyncAction) error {
			return nil
		}, bot.Scopes("chat:write"), bot.OpensModal(opens)),
		bot.OnCommandAsync("/go", func(context.Context, *bot.AsyncCommand) error {
			return nil
		}, bot.Scopes("chat:write"), bot.Describe("goes", ""), bot.OpensModal(opens)))
	ts := s.button(t, "go", "")
	home := s.homeButton(t, "go")
	tx, err := s.raw(t).Begin() // holds the write lock
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for n, act := range []func(){
		func() { _, err = s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, ts, "go") },
		func() { _, err = s.sim.Command(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "/go") },
		func() { _, err = s.sim.PressHome(ctx, slacksim.AcmeMember, home) },
	} {
		if act(); err != nil {
			t.Error(err)
		}
		wait(t, s.sim, "words in the modal", func() bool {
			calls := s.sim.Calls("views.update")
			return len(calls) == n+1 && calls[n].Done
		})
	}
	for _, v := range s.sim.OpenViews(slacksim.AcmeMember) {
		if !strings.Contains(string(v.Blocks), "reach its records") {
			t.Errorf("a modal still shows %s", v.Blocks)
		}
	}
}

// Slack opened a modal and its answer was lost: nothing is begun, and the modal says so.
func TestModalWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	s, _ := hurried(t, bot.OnCommandAsync("/go", func(context.Context, *bot.AsyncCommand) error {
		t.Error("it was begun")
		return nil
	}, bot.Scopes("chat:write"), bot.Describe("goes", ""),
		bot.OpensModal(func(context.Context, *bot.Request) (slack.ModalViewRequest, error) {
			return modal("One moment."), nil
		})))
	s.sim.Inject(slacksim.Fault{Method: "views.open", DropAnswer: true, Times: 1})
	if r := command(t, s, slacksim.AcmeMember, "/go"); !strings.Contains(r.Text, "Something went wrong") {
		t.Errorf("the person reads %q", r.Text)
	}
	wait(t, s.sim, "words in the modal", func() bool {
		views := s.sim.OpenViews(slacksim.AcmeMember)
		return len(views) == 1 && strings.Contains(string(views[0].Blocks), "Something went wrong")
	})
}

// homeButton publishes a button in the Home tab of the member, and returns its id.
func (s scene) homeButton(t *testing.T, id string) string {
	t.Helper()
	b := slack.NewButtonBlockElement(id, "1", slack.NewTextBlockObject(slack.PlainTextType, "Go", false, false))
	view := slack.HomeTabViewRequest{Type: slack.VTHomeTab,
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewActionBlock("", b)}}}
	if _, err := s.app(t).PublishViewContext(ctx,
		slack.PublishViewContextRequest{UserID: slacksim.AcmeMember, View: view}); err != nil {
		t.Fatal(err)
	}
	return id
}

// Where there is no response_url, in the Home tab and in modals, what a handler refuses or fails at is said in a window
// on top; later than a window can be opened as a direct message.
func TestAnswersWithoutAResponseURL(t *testing.T) {
	t.Parallel()
	const refusal = "You are not in a team yet."
	refuse := func(context.Context, *bot.Action) error { return &bot.UserError{Text: refusal} }
	refuseLater := func(context.Context, *bot.AsyncAction) error { return &bot.UserError{Text: refusal} }
	button := `[{"type":"actions","elements":[{"type":"button","action_id":"go","text":{"type":"plain_text","text":"Go"}}]}]`
	s, _ := hurried(t, bot.OnAction("go", refuse, bot.Scopes("chat:write")),
		bot.OnActionAsync("slow", refuseLater, bot.Scopes("chat:write")),
		bot.OnCommand("/form", func(ctx context.Context, t *bot.Command) error {
			view := modal("")
			if err := view.Blocks.UnmarshalJSON([]byte(button)); err != nil {
				return err
			}
			_, err := t.OpenModal(ctx, view)
			return err
		}, bot.Scopes("chat:write"), bot.Describe("opens a form", "")))
	onTop := func() bool {
		views := s.sim.OpenViews(slacksim.AcmeMember)
		return len(views) > 0 && strings.Contains(string(views[len(views)-1].Blocks), refusal)
	}
	messages := func() int { return said(s.sim, s.sim.DM(slacksim.AcmeMember), refusal) }

	if _, err := s.sim.PressHome(ctx, slacksim.AcmeMember, s.homeButton(t, "go")); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "a window over the Home tab", onTop)
	if _, err := s.sim.CloseView(ctx, slacksim.AcmeMember, s.sim.OpenViews(slacksim.AcmeMember)[0].ID, true); err != nil {
		t.Fatal(err)
	}

	id := openForm(t, s)
	if _, err := s.sim.Forms.PressInView(ctx, slacksim.AcmeMember, id, slacksim.Form{ActionID: "go"}); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "a window over the modal", onTop)
	if views := s.sim.OpenViews(slacksim.AcmeMember); len(views) != 2 || views[0].ID != id || messages() != 0 {
		t.Errorf("%d windows and %d messages", len(views), messages())
	}

	clear := s.sim.Inject(slacksim.Fault{Method: "views.open", Error: "expired_trigger_id"})
	if _, err := s.sim.PressHome(ctx, slacksim.AcmeMember, s.homeButton(t, "go")); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "a direct message", func() bool { return messages() == 1 })
	if _, err := s.sim.PressHome(ctx, slacksim.AcmeMember, s.homeButton(t, "slow")); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "a direct message of slow work", func() bool { return messages() == 2 })
	clear()
	if _, err := s.sim.CloseView(ctx, slacksim.AcmeMember, id, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.sim.PressHome(ctx, slacksim.AcmeMember, s.homeButton(t, "slow")); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "a window of slow work", onTop)
	if n := messages(); n != 2 {
		t.Errorf("%d direct messages", n)
	}
}

// A command without a response_url is nothing that Slack sends; what follows its first answer comes as a direct message
// then.
func TestSecondPartWithoutAnAddress(t *testing.T) {
	t.Parallel()
	h := bot.OnCommand("/two", func(ctx context.Context, t *bot.Command) error {
		second := func(context.Context) (bot.Reply, error) { return bot.Reply{Text: "Two."}, nil }
		return t.Respond(ctx, bot.Reply{Text: "One.", Then: second})
	}, bot.Scopes("chat:write"), bot.Describe("x", ""))
	s := play(t, h)
	k := s.row(t).Key
	form := url.Values{"command": {"/two"}, "api_app_id": {k.AppID}, "team_id": {k.TeamID},
		"user_id": {slacksim.AcmeMember}, "channel_id": {slacksim.AcmeGeneral}}
	if a := s.sim.Sender.Deliver(ctx, slacksim.Raw{Kind: "command", Body: []byte(form.Encode())}); a.Status != 200 {
		t.Fatal(a.Status)
	}
	wait(t, s.sim, "the second part", func() bool { return said(s.sim, s.sim.DM(slacksim.AcmeMember), "Two.") == 1 })
}

// The second part of a form's answer is shown in its window, and to nobody else: InChannel does nothing there, which is
// counted, as it is in the first part.
func TestThenOfAForm(t *testing.T) {
	t.Parallel()
	s, numbers := hurried(t, asksForForm, bot.OnViewSubmission("form", func(ctx context.Context, f *bot.Submission) error {
		return f.Respond(ctx, bot.Reply{Text: "One moment.", Then: func(context.Context) (bot.Reply, error) {
			return bot.Reply{Text: "All saved.", InChannel: true}, nil
		}})
	}))
	if _, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, openForm(t, s),
		map[string]map[string]string{"size": {"a": "l"}}); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "the second part", func() bool {
		return strings.Contains(string(s.sim.OpenViews(slacksim.AcmeMember)[0].Blocks), "All saved.")
	})
	s.finish()
	if said(s.sim, slacksim.AcmeGeneral, "All saved.") != 0 || said(s.sim, s.sim.DM(slacksim.AcmeMember),
		"All saved.") != 0 {
		t.Error("it is said elsewhere")
	}
	families, err := numbers.Gather()
	if err != nil {
		t.Fatal(err)
	}
	idle := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "switchboard_lost_answers_total" && m.GetLabel()[0].GetValue() == "idle_field" {
				idle = m.GetCounter().GetValue()
			}
		}
	}
	if idle != 1 {
		t.Errorf("an idle field was counted %v times", idle)
	}
}
