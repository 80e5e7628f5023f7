// Command triage turns messages into tickets: from a message's menu, from a workflow, and back, when somebody posts a
// link to one.
package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
)

// host is where tickets have pages.
const host = "tickets.example.com"

// tickets stands for the tracker that a real bot talks to. Each workspace has its own.
type tickets struct {
	mu    sync.Mutex
	texts map[string][]string // by workspace
}

// open files a ticket and returns its address.
func (t *tickets) open(team, text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.texts[team] = append(t.texts[team], text)
	return fmt.Sprintf("https://%s/%d", host, len(t.texts[team]))
}

// find returns the text of the ticket at an address, "" where there is none.
func (t *tickets) find(team, address string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, text := range t.texts[team] {
		if path.Base(address) == fmt.Sprint(i+1) {
			return text
		}
	}
	return ""
}

// step are the inputs of the workflow's step.
type step struct {
	Title string `json:"title" title:"What is it about?"`
	Who   string `json:"who,omitempty" title:"Who reports it" slack:"user_id"`
}

func handlers() []bot.Handler {
	all := &tickets{texts: map[string][]string{}}
	return []bot.Handler{
		bot.OnMessageShortcut("triage", ask, bot.Titled("Make a ticket", "Files a ticket about this message")),
		bot.OnViewSubmission("triage.file", all.file),
		bot.OnFunction("open_ticket", all.step, bot.Titled("Open a ticket", "Files a ticket"),
			bot.Outputs(bot.Parameter{Name: "url", Type: "string", Title: "The ticket", Required: true})),
		bot.OnLink(host, all.unfurl),
	}
}

// ask opens the form, with what the message says in it.
func ask(ctx context.Context, s *bot.Shortcut) error {
	text := slack.NewPlainTextInputBlockElement(nil, "text")
	text.InitialValue, text.Multiline = s.Text, true
	_, err := s.OpenModal(ctx, slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: "triage.file", Title: plain("Make a ticket"), Submit: plain("File it"),
		Close: plain("Cancel"), Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewInputBlock("text", plain("What is it about?"), nil, text),
		}},
	})
	return err
}

// file files what was put in, and says where in the window.
func (t *tickets) file(ctx context.Context, s *bot.Submission) error {
	text := strings.TrimSpace(s.Value("text"))
	if len(text) < 10 {
		return s.Errors(map[string]string{"text": "Write a few words more, so that somebody can act on it."})
	}
	return s.Respond(ctx, bot.Text("Filed as "+t.open(s.TeamID, text)+"."))
}

// step does the step of a workflow.
func (t *tickets) step(ctx context.Context, f *bot.Function[step]) error {
	if f.Inputs.Title == "" {
		return &bot.UserError{Text: "A ticket needs a title."}
	}
	return f.Complete(ctx, map[string]any{"url": t.open(f.TeamID, f.Inputs.Title)})
}

// unfurl shows tickets below links to them.
func (t *tickets) unfurl(ctx context.Context, l *bot.Link) error {
	shown := map[string][]slack.Block{}
	for _, address := range l.URLs {
		if text := t.find(l.TeamID, address); text != "" {
			section := slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
			shown[address] = []slack.Block{slack.NewSectionBlock(section, nil, nil)}
		}
	}
	if len(shown) == 0 {
		return nil
	}
	return l.Unfurl(ctx, shown)
}

func plain(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

func main() {
	switchboard.App{Name: "Triage", Summary: "Turns messages into tickets.", Handlers: handlers()}.Main()
}
