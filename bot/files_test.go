package bot_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Files that are said are in the thread once, though the handler runs again, and though Slack's answer was lost.
func TestFiles(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]slacksim.Fault{
		"all is well":               {Method: "chat.update"},
		"the upload fails":          {Method: "files.getUploadURLExternal", Error: "internal_error", Times: 1},
		"sharing fails":             {Method: "files.completeUploadExternal", Error: "internal_error", Times: 1},
		"the answer is lost":        {Method: "files.completeUploadExternal", DropAnswer: true, Times: 1},
		"the message isn't posted":  {Method: "chat.postMessage", Error: "internal_error", Times: 1},
		"the message's answer lost": {Method: "chat.postMessage", DropAnswer: true, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
				_, err := m.Say(ctx, bot.Reply{Text: "Here they are.", Files: []bot.File{
					{Name: "a.csv", Title: "The figures", Content: []byte("a,b\n1,2\n")},
					{Name: "b.txt", Content: []byte("words")}}})
				if err == nil && m.Attempt == 1 {
					err = errors.New("try again")
				}
				return err
			}, bot.Scopes("files:write", "channels:history")))
			in, _ := s.sim.Installed(slacksim.Acme)
			root, err := s.sim.Say(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "The figures?")
			if err != nil {
				t.Fatal(err)
			}
			s.sim.Inject(fault)
			if _, err := s.sim.Reply(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, root,
				"<@"+in.BotUserID+"> go"); err != nil {
				t.Fatal(err)
			}
			if err := s.sim.Settle(ctx); err != nil {
				t.Fatal(err)
			}
			s.hurry(t, func() bool { n, err := s.inbox.Count(ctx); return err == nil && n.Ready+n.Held+n.Waiting == 0 })
			var files []slacksim.File
			texts := 0
			wait(t, s.sim, "the files", func() bool {
				files, texts = nil, 0
				for _, m := range s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember) {
					if m.BotID != "" && m.ThreadTS == root {
						files = append(files, m.Files...)
						texts += strings.Count(m.Text, "Here they are.")
					}
				}
				return len(files) > 0
			})
			if len(files) != 2 || files[0].Title != "The figures" || string(files[1].Content) != "words" || texts != 1 {
				t.Errorf("%d texts, and files %+v", texts, files)
			}
		})
	}
}

// Files that only one person would see are refused, and so are those that the workspace hasn't allowed: the person
// reads which permission is missing, and nothing is said.
func TestFilesThatCannotBeSaid(t *testing.T) {
	t.Parallel()
	files := bot.Reply{Text: "Here.", Files: []bot.File{{Name: "a.txt", Content: []byte("a")}}}
	s := play(t,
		bot.OnCommand("/file", func(ctx context.Context, c *bot.Command) error {
			if err := c.Respond(ctx, files); err == nil {
				t.Error("a file went with the answer of a command")
			}
			return c.Respond(ctx, bot.Text("No files here."))
		}, bot.Describe("file", "")),
		bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
			_, err := m.Say(ctx, files)
			return err
		}, bot.OptionalScopes("files:write")))
	s.forget(t, "files:write")
	if r := command(t, s, slacksim.AcmeMember, "/file"); r.Text != "No files here." {
		t.Errorf("answered %q", r.Text)
	}
	in, _ := s.sim.Installed(slacksim.Acme)
	say(t, s.sim, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> go")
	s.settle(t)
	told := lastOf(s.sim, slacksim.AcmeGeneral, slacksim.AcmeMember)
	if told.EphemeralTo != slacksim.AcmeMember || !strings.Contains(told.Text, "doesn't have permission to") {
		t.Errorf("they read %q", told.Text)
	}
}
