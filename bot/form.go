package bot

// A form whose handler is late was acknowledged with a page that says so. What is wrong with the form is then shown in
// the form itself: it is made anew of what Slack sent, with what the person put in.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const maxViewBlocks = 100 // https://docs.slack.dev/reference/views/modal-views

// showInForm puts r into the window of a form that was submitted; the zero Reply says that it is done. Slack lets no
// app close a window. Where the window is gone, r comes as a direct message, as far as there is something to say.
func (req *Request) showInForm(ctx context.Context, payload []byte, r Reply) error {
	view := page(req.lang(), Text(req.lang().Say("bot.window.done")))
	switch {
	case len(r.errors) > 0:
		r.Text = faults(r.errors)
		view = page(req.lang(), r)
		if form, err := formAgain(payload, r.errors); err == nil {
			view = form
		} else {
			req.Log.InfoContext(ctx, "make a form anew", "cause", err)
		}
	case r.view != nil:
		view = r.view
	case !r.empty():
		view = page(req.lang(), r)
	}

	err := req.update(ctx, *view)
	code := slackapi.SlackError(err)
	if len(r.errors) > 0 && code != "" && code != "not_found" { // something in it is not taken back
		err = req.update(ctx, *page(req.lang(), r))
	}

	if slackapi.SlackError(err) != "" && !r.empty() {
		req.Log.InfoContext(ctx, "an answer in a window comes as a direct message",
			"slack_error", slackapi.SlackError(err))
		return req.direct(ctx, r)
	}
	return err
}

// update replaces what the window of req.ViewID shows.
func (req *Request) update(ctx context.Context, view slack.ModalViewRequest) error {
	_, err := req.Client.UpdateViewContext(ctx, view, "", "", req.ViewID)
	return err
}

// faults is what is wrong with a form, for where it can't stand beside the inputs.
func faults(wrong map[string]string) string {
	var lines []string
	for _, block := range slices.Sorted(maps.Keys(wrong)) {
		lines = append(lines, wrong[block])
	}
	return strings.Join(lines, "\n")
}

// submitted is what is needed of a form to show it anew.
type submitted struct {
	View struct {
		Title           *slack.TextBlockObject `json:"title"`
		Submit          *slack.TextBlockObject `json:"submit"`
		Close           *slack.TextBlockObject `json:"close"`
		CallbackID      string                 `json:"callback_id"`
		PrivateMetadata string                 `json:"private_metadata"`
		ExternalID      string                 `json:"external_id"`
		ClearOnClose    bool                   `json:"clear_on_close"`
		NotifyOnClose   bool                   `json:"notify_on_close"`
		Blocks          []map[string]any       `json:"blocks"`
		State           struct {
			Values map[string]map[string]map[string]any `json:"values"` // by block_id and action_id
		} `json:"state"`
	} `json:"view"`
}

// formAgain makes a form anew from the payload of its submission: with the values that were in it, as far as Slack
// takes them back (not files), and below each input what is wrong with it.
func formAgain(payload []byte, wrong map[string]string) (*slack.ModalViewRequest, error) {
	p, _, err := lenient.Decode[submitted](payload)
	if err != nil {
		return nil, fmt.Errorf("read the form: %w", err)
	}

	v := p.View
	if v.Title == nil || len(v.Blocks) == 0 {
		return nil, errors.New("the payload shows no form")
	}

	elsewhere := maps.Clone(wrong)
	var blocks []slack.Block
	for _, b := range v.Blocks {
		id := text(b["block_id"])
		fillIn(b, v.State.Values[id])
		blocks = append(blocks, jsonBlock(b))
		if says := wrong[id]; says != "" {
			blocks = append(blocks, fault(says))
			delete(elsewhere, id)
		}
	}

	if len(blocks) > maxViewBlocks {
		blocks = slices.DeleteFunc(blocks, func(b slack.Block) bool { _, own := b.(*slack.SectionBlock); return own })
		elsewhere = wrong
	}

	if len(elsewhere) > 0 {
		blocks = slices.Insert(blocks, 0, slack.Block(fault(faults(elsewhere))))
	}
	if len(blocks) > maxViewBlocks {
		return nil, errors.New("the form has no room for what is wrong with it")
	}

	return &slack.ModalViewRequest{
		Type: slack.VTModal, Title: v.Title, Submit: v.Submit, Close: v.Close, Blocks: slack.Blocks{BlockSet: blocks},
		CallbackID: v.CallbackID, PrivateMetadata: v.PrivateMetadata, ExternalID: v.ExternalID,
		ClearOnClose: v.ClearOnClose, NotifyOnClose: v.NotifyOnClose,
	}, nil
}

// fault is a line of its own: an input has no place for one that comes later.
func fault(says string) *slack.SectionBlock {
	return slack.NewSectionBlock(mrkdwn.Plain("⚠️ "+says, mrkdwn.MaxText), nil, nil)
}

// added are fields that Slack adds to pictures, and takes from nobody.
var added = []string{"image_width", "image_height", "image_bytes", "is_animated"}

// fillIn makes what was put into a block's elements, by action_id, what they begin with.
func fillIn(part any, values map[string]map[string]any) {
	switch p := part.(type) {
	case []any:
		for _, e := range p {
			fillIn(e, values)
		}

	case map[string]any:
		for _, name := range added {
			delete(p, name)
		}
		if value, ok := values[text(p["action_id"])]; ok {
			begin(p, value)
		}
		for _, e := range p {
			fillIn(e, values)
		}
	}
}

// begin gives an element its value. Slack names what was chosen selected_…, and what to begin with initial_….
// https://docs.slack.dev/reference/block-kit/block-elements
func begin(element, value map[string]any) {
	maps.DeleteFunc(element, func(name string, _ any) bool { return strings.HasPrefix(name, "initial_") })
	if text(element["type"]) == "file_input" || text(element["type"]) == "overflow" {
		return
	}

	for name, v := range value {
		chosen, isChoice := strings.CutPrefix(name, "selected_")
		if name == "value" || name == "rich_text_value" {
			chosen, isChoice = "value", true
		}
		if several, ok := v.([]any); !isChoice || v == nil || v == "" || ok && len(several) == 0 {
			continue
		}
		element["initial_"+chosen] = offered(element, v)
		delete(element, "default_to_current_conversation")
	}
}

// offered returns a chosen option, or several, as the element offers them: Slack takes back no other.
func offered(element map[string]any, chosen any) any {
	switch c := chosen.(type) {
	case []any:
		all := make([]any, len(c))
		for i, one := range c {
			all[i] = offered(element, one)
		}
		return all
	case map[string]any:
		groups, _ := element["option_groups"].([]any)
		for _, in := range append(groups, element) {
			group, _ := in.(map[string]any)
			options, _ := group["options"].([]any)
			for _, o := range options {
				if option, _ := o.(map[string]any); option != nil && option["value"] == c["value"] {
					return option
				}
			}
		}
	}
	return chosen
}

// jsonBlock is a block as it came.
type jsonBlock map[string]any

// BlockType is slack.Block's.
func (b jsonBlock) BlockType() slack.MessageBlockType { return slack.MessageBlockType(text(b["type"])) }

// ID is slack.Block's.
func (b jsonBlock) ID() string { return text(b["block_id"]) }
