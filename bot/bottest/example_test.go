package bottest_test

import (
	"context"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/bot/bottest"
)

// The first test of a bot. In one of your own it is the body of func TestHello(t *testing.T).
func ExampleNew() {
	handlers := []bot.Handler{
		bot.OnMention("hello", func(ctx context.Context, m *bot.Message) error {
			_, err := m.Say(ctx, bot.Text("Hey <@"+m.UserID+">!"))
			return err
		}),
	}

	_ = func(t *testing.T) {
		s := bottest.New(t, handlers...)
		s.As(bottest.Member).Mention("#general", "hello")
		s.Posted("#general").Want("Hey <@" + bottest.Member.ID + ">!")
	}
}

// A form is filled in by the block_id of each input, and what is wrong with it stands in the window.
func ExampleActor_Submit() {
	check := bot.OnViewSubmission("ticket", func(_ context.Context, s *bot.Submission) error {
		if len(s.Value("title")) < 5 {
			return s.Errors(map[string]string{"title": "Write a few words more."})
		}
		return s.Clear()
	})
	open := bot.OnShortcut("ticket", func(ctx context.Context, s *bot.Shortcut) error {
		_, err := s.OpenModal(ctx, slack.ModalViewRequest{ /* an input with the block_id "title" */ })
		return err
	}, bot.Titled("New ticket", "Files a ticket"))

	_ = func(t *testing.T) {
		s := bottest.New(t, open, check)
		leon := s.As(bottest.Member)
		leon.Shortcut("ticket")
		leon.Submit(map[string]string{"title": "no"})
		leon.Modal().Want("Write a few words more.")
	}
}

// A test waits for no time: it moves the clock.
func ExampleSuite_Advance() {
	daily := bot.Every(24*time.Hour, func(ctx context.Context, t *bot.Timer) error {
		_, err := t.Say(ctx, t.Connection.InstalledBy, bot.Text("Good morning!"))
		return err
	}, bot.Scopes("chat:write"))

	_ = func(t *testing.T) {
		s := bottest.New(t, daily)
		dana := s.As(bottest.Admin) // who installed it
		s.Advance(36 * time.Hour)
		dana.Reads("").Want("Good morning!")
	}
}
