package bot

// Custom steps of workflows: the app is asked to do something with inputs, and says some time later what came of it.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Function is a step of a workflow that is to be done, with its inputs decoded into In.
type Function[In any] struct {
	*Request
	*Step
	Inputs In
}

// Step is one execution of a step of a workflow. A press or a form that leads back to one has it, too (Request.Step).
type Step struct {
	ExecutionID string // the same in every delivery (Fx…)
	CallbackID  string // which step it is
	// Client calls Slack with the execution's own token. What it posts and opens leads back to the step: presses in it
	// have a Step, with a token of its own. The token ends after 15 minutes, or with the step: the error is ErrStepEnded
	// then. It is the workspace's client where Slack sent no such token.
	Client *slack.Client

	request *Request
	token   connection.Secret
	inputs  json.RawMessage
	ended   atomic.Bool // this run has ended the step
}

// ErrStepEnded says that a step of a workflow can't be worked on any longer: it has ended, or its token has. It comes
// from Step's Client and methods, and is a UserError at the same time: a handler returns it as it is.
var ErrStepEnded = errors.New("the step has ended, or its token has")

// stepEnded is ErrStepEnded, in words for people.
type stepEnded struct{ told *UserError }

func (e *stepEnded) Error() string   { return ErrStepEnded.Error() }
func (e *stepEnded) Unwrap() []error { return []error{ErrStepEnded, e.told} }

func (s *Step) over() error {
	return &stepEnded{&UserError{Text: s.request.lang().Say("bot.step.ended")}}
}

// tokenEnds are Slack's words for a token that is no longer good. Here it is never the workspace's.
var tokenEnds = []string{"token_expired", "token_revoked", "invalid_auth"}

// stepCalls sends what Step.Client calls, and says in our words that its token has ended.
type stepCalls struct {
	step *Step
	next slackapi.Doer
}

// Do is http.Client's.
func (c stepCalls) Do(r *http.Request) (*http.Response, error) {
	if c.step.ended.Load() {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, c.step.over()
	}

	resp, err := c.next.Do(r)
	if err != nil {
		return resp, err
	}
	if code := slackapi.CodeOf(resp); slices.Contains(tokenEnds, code) {
		_ = resp.Body.Close()
		return nil, c.step.over()
	}
	return resp, nil
}

// DecodeInputs puts the step's inputs into the struct that v points to, by its json tags. A press or a form that leads
// back to the step has them, too.
func (s *Step) DecodeInputs(v any) error {
	if len(s.inputs) == 0 {
		return nil
	}
	if err := json.Unmarshal(s.inputs, v); err != nil {
		return &decodeError{err}
	}
	return nil
}

// Complete says that the step is done, with its outputs by their names. A handler that runs again (Request.Attempt) can
// do it again, which changes nothing. The error is ErrAnswered where this run has ended the step already, and
// ErrStepEnded where somebody else has. It needs no permission. It blocks for a call to Slack.
// https://docs.slack.dev/reference/methods/functions.completeSuccess
func (s *Step) Complete(ctx context.Context, outputs map[string]any) error {
	body, err := json.Marshal(outputs)
	if err != nil {
		return fmt.Errorf("complete the step: %w", err)
	}
	if outputs == nil {
		body = []byte("{}")
	}
	return s.end(ctx, "functions.completeSuccess", url.Values{"outputs": {string(body)}})
}

// Fail says that the step could not be done, and why, in a sentence that the people who run the workflow read. Errors
// are Complete's. It blocks for a call to Slack. https://docs.slack.dev/reference/methods/functions.completeError
func (s *Step) Fail(ctx context.Context, why string) error {
	return s.end(ctx, "functions.completeError", url.Values{"error": {why}})
}

func (s *Step) end(ctx context.Context, method string, form url.Values) error {
	switch {
	case s.request.Client == nil:
		return connection.ErrNotConnected
	case s.ended.Load():
		return fmt.Errorf("end the step: %w", ErrAnswered)
	}
	form.Set("function_execution_id", s.ExecutionID)
	api := s.request.Install.in.Slack()

	// The execution's own token ends after a quarter of an hour, and the step can take longer.
	var err error
	for _, token := range []connection.Secret{s.token, s.request.Connection.Token} {
		if token == "" {
			continue
		}
		err = api.Call(ctx, method, token, form, &struct{}{})
		if !slices.Contains(tokenEnds, slackapi.SlackError(err)) {
			break
		}
	}

	switch {
	case slackapi.SlackError(err) == "execution_not_in_running_state" && s.request.Attempt > 1: // an earlier one did it
	case slackapi.SlackError(err) == "execution_not_in_running_state":
		return fmt.Errorf("end the step: %w", s.over())
	case err != nil:
		return fmt.Errorf("end the step: %w", err)
	}
	s.ended.Store(true)
	return nil
}

// OnFunction returns a handler of a custom step of workflows with this callback_id, with the promises of OnEvent. In is
// a struct with a field for each input; its tags say what Workflow Builder shows:
//
//	type inputs struct {
//		Who   string `json:"who" title:"Person" slack:"user_id"`
//		Title string `json:"title" title:"Title of the ticket"`
//		Count int    `json:"count,omitempty" title:"How many"` // can be left out
//	}
//
// A type of Slack's own (user_id, channel_id, rich_text …) is in the tag slack, others follow from Go's. Titled says
// how the step is called, Outputs what comes of it. The manifest has all of it.
//
// run ends the step by Complete or Fail, or leaves that to a later press of what it posted (Step.Client). A UserError,
// the last failure of others, and the third end of the process while run runs fail the step, so that the workflow
// doesn't wait for ever.
//
// An app with steps has to be deployed to an organisation to be found in Workflow Builder, or installed in a workspace
// of a paid plan. https://docs.slack.dev/workflows/workflow-steps
func OnFunction[In any](callbackID string, run func(ctx context.Context, f *Function[In]) error,
	options ...Option) Handler {
	h := newHandler(KindFunction, callbackID, options, func(ctx context.Context, r *Request, _ any) error {
		f := &Function[In]{Request: r, Step: r.Step}
		if err := r.Step.DecodeInputs(&f.Inputs); err != nil {
			return err
		}
		return run(ctx, f)
	})
	h.inputs = parametersOf(reflect.TypeFor[In]())
	return h
}

func newStep(r *Request, execution, callbackID, token string, inputs json.RawMessage) *Step {
	s := &Step{ExecutionID: execution, CallbackID: callbackID, request: r, token: connection.Secret(token),
		inputs: inputs, Client: r.Client}
	if token != "" && r.Client != nil {
		api := r.Install.in.Slack()
		s.Client = api.Client(s.token, r.Connection.Key, r.TeamID, stepCalls{step: s, next: api.HTTP})
	}
	return s
}

// opener opens views for who acted. In what leads back to a step they lead back to it, too.
func (req *Request) opener() *slack.Client {
	if req.Step != nil {
		return req.Step.Client
	}
	return req.Client
}

// settle fails the step where nothing more comes of it, so that the workflow doesn't wait for ever: with what the
// handler or its middleware says to people, with the permissions that are missing, or at its last attempt.
func (s *Step) settle(ctx context.Context, o outcome) {
	req, why := s.request, ""
	switch {
	case s.ended.Load(): // nothing waits for it
	case o.told != nil:
		why = o.told.Text
	case len(o.missing) > 0:
		scopes := req.Install.Describe(o.missing)
		req.Install.in.Notices().NotifyMissing(req.Install.c, scopes, req.UserID)
		why = req.Connection.Without(req.lang(), req.Install.App().Name, scopes)
	case errors.As(o.err, new(*decodeError)):
		why = req.lang().Say("bot.step.inputs")
	case o.begun && (req.said.last() || classOf(o.err) == final):
		why = wentWrong(req, o.err).Text
	}
	if why != "" {
		s.giveUp(ctx, why)
	}
}

// giveUp fails the step whatever became of the handler.
func (s *Step) giveUp(ctx context.Context, why string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askBudget)
	defer cancel()
	if err := s.Fail(ctx, why); err != nil {
		s.request.Log.WarnContext(ctx, "fail the step of a workflow", failure(err)...)
	}
}

// Parameter is an input or an output of a step of a workflow.
type Parameter struct {
	Name        string `json:"-"`
	Type        string `json:"type"`                  // string, integer, number, boolean, or slack#/types/user_id …
	Title       string `json:"title,omitempty"`       // what Workflow Builder shows
	Description string `json:"description,omitempty"` // below that
	Required    bool   `json:"-"`
}

// Outputs are what comes of a step, which later steps of the workflow can use.
func Outputs(parameters ...Parameter) Option {
	return func(h *Handler) { h.outputs = append(h.outputs, parameters...); h.with(optionOutputs) }
}

// parametersOf are the fields of a struct as inputs.
func parametersOf(in reflect.Type) (all []Parameter) {
	if in.Kind() != reflect.Struct {
		return nil
	}
	for i := range in.NumField() {
		f := in.Field(i)
		name, tags, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}

		p := Parameter{
			Name: name, Title: f.Tag.Get("title"), Description: f.Tag.Get("description"), Type: parameterType(f.Type),
			Required: !strings.Contains(tags, "omitempty") && !strings.Contains(tags, "omitzero"),
		}
		if own := f.Tag.Get("slack"); own != "" {
			p.Type = "slack#/types/" + own
		}
		all = append(all, p)
	}
	return all
}

// parameterType is what Slack calls a type of Go's.
func parameterType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return parameterType(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8,
		reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	}
	return "string"
}

// ManifestFunction is a step as a manifest has it. https://docs.slack.dev/reference/app-manifest
type ManifestFunction struct {
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Inputs      ManifestParameters `json:"input_parameters"`
	Outputs     ManifestParameters `json:"output_parameters"`
}

// ManifestParameters are inputs or outputs, by their names.
type ManifestParameters struct {
	Properties map[string]Parameter `json:"properties"`
	Required   []string             `json:"required"`
}

func manifestParameters(all []Parameter) ManifestParameters {
	m := ManifestParameters{Properties: map[string]Parameter{}, Required: []string{}}
	for _, p := range all {
		m.Properties[p.Name] = p
		if p.Required {
			m.Required = append(m.Required, p.Name)
		}
	}
	return m
}

var functionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// checkFunction finds out why Slack would refuse a step.
func (h *Handler) checkFunction() error {
	switch {
	case !functionName.MatchString(h.Name):
		return errors.New("the callback_id of a step is 1 to 100 letters, digits, _ and -")
	case h.About == "" || h.Title == "":
		return errors.New("no title and description for Workflow Builder (Titled)")
	}
	return nil
}

// callbackID is the step that an event asks for.
func (in *inner) callbackID() string {
	var f struct {
		CallbackID string `json:"callback_id"`
	}
	_ = json.Unmarshal(in.Function, &f) // what can't be read is none
	return f.CallbackID
}
