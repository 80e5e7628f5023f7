package bot

import (
	"context"

	"github.com/slack-go/slack"
)

// Submission is a modal that somebody submitted. Value, Values and Decode have what was put in.
//
// Without an answer the modal closes. There is one answer: what is wrong (Errors), another view in its place (Update)
// or on top of it (Push), all of them closed (Clear), or a text (Respond).
type Submission struct {
	*Request
	// Payload is what Slack sent.
	Payload *slack.InteractionCallback
}

// Errors keeps the modal open, with what is wrong by the block_id of the input that it is about.
func (s *Submission) Errors(wrong map[string]string) error { return s.record(Reply{errors: wrong}) }

// Update puts view in the place of the modal.
func (s *Submission) Update(view slack.ModalViewRequest) error { return s.record(Reply{view: &view}) }

// Push puts view on top of the modal, whose place it leaves when it is closed. Slack takes three on top of each other.
func (s *Submission) Push(view slack.ModalViewRequest) error {
	return s.record(Reply{view: &view, push: true})
}

// Clear closes the modal and what is below it.
func (s *Submission) Clear() error { return s.record(Reply{clear: true}) }

// Respond shows r in the modal, as a page that can only be closed.
func (s *Submission) Respond(_ context.Context, r Reply) error { return s.record(r) }

// OnViewSubmission returns a handler of the submission of a modal with this callback_id. "order.*" is for all that
// begin so, and "^order" is a pattern.
//
// run is called right away. A handler that has not returned after 2.5 s runs on as OnCommand's does, and the modal says
// meanwhile that it takes longer. Its answer is then shown in the modal: Errors in the form with what the person put in
// (but for files, which Slack does not take back), and where there is none "Done", because no app can close a modal. If
// the person closed it, a text or what is wrong comes as a direct message. An error is shown in the modal, too.
//
// Who may submit it is as with OnAction. https://docs.slack.dev/surfaces/modals#handling_submissions
func OnViewSubmission(callbackID string, run func(ctx context.Context, s *Submission) error,
	options ...Option) Handler {
	return newHandler(KindViewSubmission, callbackID, options, func(ctx context.Context, r *Request, payload any) error {
		return run(ctx, &Submission{Request: r, Payload: payload.(*slack.InteractionCallback)})
	})
}

// ViewClosed is a modal that somebody closed without submitting it.
type ViewClosed struct {
	*Request
	// Payload is what Slack sent.
	Payload *slack.InteractionCallback
}

// OnViewClosed returns a handler of a modal with this callback_id that was closed without being submitted. Slack tells
// of it only if the view has NotifyOnClose. Nobody waits for it; an error is told in a direct message.
// https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload
func OnViewClosed(callbackID string, run func(ctx context.Context, v *ViewClosed) error, options ...Option) Handler {
	return newHandler(KindViewClosed, callbackID, options, func(ctx context.Context, r *Request, payload any) error {
		return run(ctx, &ViewClosed{Request: r, Payload: payload.(*slack.InteractionCallback)})
	})
}

// AsyncSubmission is a Submission that is worked from the inbox.
type AsyncSubmission struct {
	*Request
	asyncResponder
	// Payload is what Slack sent.
	Payload *slack.InteractionCallback
}

// OnViewSubmissionAsync is OnViewSubmission for work that must not be lost: see OnCommandAsync. The modal closes right
// away, so what is wrong with it can only be told in a direct message (Respond).
func OnViewSubmissionAsync(callbackID string, run func(ctx context.Context, s *AsyncSubmission) error,
	options ...Option) Handler {
	h := newHandler(KindViewSubmission, callbackID, options, func(ctx context.Context, r *Request, payload any) error {
		return run(ctx, &AsyncSubmission{
			Request: r, asyncResponder: asyncResponder{r}, Payload: payload.(*slack.InteractionCallback),
		})
	})
	h.async = true
	return h
}
