package main

// Forms, and the step of a workflow.

import (
	"context"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
)

func ask(ctx context.Context, s *bot.Shortcut) error {
	first := form("ask", "Next", "title", "What is it about?")
	first.NotifyOnClose = true
	_, err := s.OpenModal(ctx, first)
	return err
}

func file(ctx context.Context, s *bot.Shortcut) error {
	t := ticket{ID: s.Payload.Message.Timestamp, Title: s.Text}
	if err := s.Store().Put(ctx, t.key(), t, 0); err != nil {
		return err
	}
	return s.Respond(ctx, bot.Text("Filed."))
}

// describe asks for more, or takes the question to somebody who has time later.
func describe(_ context.Context, s *bot.Submission) error {
	if s.Value("title") == "later" {
		return s.Update(form("ask.later", "Send", "text", "What is it about?"))
	}
	more := form("ask.more", "File it", "text", "Tell me more")
	more.PrivateMetadata = s.Value("title")
	return s.Update(more)
}

func check(_ context.Context, s *bot.Submission) error {
	var in struct {
		Text string `block:"text"`
	}
	if err := s.Decode(&in); err != nil {
		return err
	}
	if len(in.Text) < 10 {
		return s.Errors(map[string]string{"text": "Write a few words more."})
	}
	sure := form("ask.sure", "Yes", "sure", "Are you sure?")
	sure.PrivateMetadata = s.Payload.View.PrivateMetadata
	return s.Push(sure)
}

func confirm(ctx context.Context, s *bot.Submission) error {
	t := ticket{ID: s.Payload.View.ID, Title: s.Payload.View.PrivateMetadata}
	if err := s.Store().Put(ctx, t.key(), t, 0); err != nil {
		return err
	}
	return s.Clear()
}

func queue(ctx context.Context, s *bot.AsyncSubmission) error {
	return s.Respond(ctx, bot.Text("I'll see about “"+s.Value("text")+"”."))
}

func giveUp(ctx context.Context, v *bot.ViewClosed) error {
	return v.Schedule(ctx, "remind", "form/"+v.UserID, v.Now().Add(time.Hour), v.UserID)
}

// step asks in the channel, with the step's own token: the press leads back to it.
func step(ctx context.Context, f *bot.Function[struct {
	Title   string `json:"title" title:"What is it about?"`
	Channel string `json:"channel" title:"Where to ask" slack:"channel_id"`
}]) error {
	if f.Inputs.Title == "" {
		return f.Fail(ctx, "A ticket needs a title.")
	}
	_, _, err := f.Step.Client.PostMessageContext(ctx, f.Inputs.Channel, slack.MsgOptionText("Shall I file it?", false),
		slack.MsgOptionBlocks(slack.NewActionBlock("", button("step.agree", f.Inputs.Title, "Yes"))))
	return err
}

func agree(ctx context.Context, a *bot.Action) error {
	t := ticket{ID: a.Step.ExecutionID, Title: a.Value}
	if err := a.Store().Put(ctx, t.key(), t, 0); err != nil {
		return err
	}
	if err := a.Step.Complete(ctx, map[string]any{"url": "https://" + site + "/" + t.ID}); err != nil {
		return err
	}
	return a.Update(ctx, bot.Text("Filed."))
}

func form(callbackID, submit, block, question string) slack.ModalViewRequest {
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: callbackID, Title: plain("Help desk"), Submit: plain(submit),
		Close: plain("Cancel"), Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewInputBlock(block, plain(question), nil, slack.NewPlainTextInputBlockElement(nil, "text")),
		}},
	}
}

func button(actionID, value, text string) *slack.ButtonBlockElement {
	return slack.NewButtonBlockElement(actionID, value, plain(text))
}

func section(mrkdwn string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, mrkdwn, false, false), nil, nil)
}

func plain(text string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}
