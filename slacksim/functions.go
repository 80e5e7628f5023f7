package slacksim

// Custom steps of workflows: what runs them, the token that each run comes with, and how an app ends one.
// docs.slack.dev/workflows/workflow-steps, docs.slack.dev/reference/events/function_executed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// Function is a step that the app offers to workflows: an entry of functions in a manifest.
type Function struct {
	CallbackID, Title, Description string
	Inputs, Outputs                []Parameter
}

// Parameter is what a function takes or gives. Type is as in a manifest: "string", "integer", "slack#/types/user_id", …
type Parameter struct {
	Name, Title, Description, Type string
	Required                       bool
}

// How far an execution is.
const (
	ExecutionRunning   = "running"
	ExecutionCompleted = "completed" // functions.completeSuccess
	ExecutionFailed    = "failed"    // functions.completeError
)

// Execution is one run of a function.
type Execution struct {
	ID, WorkflowID  string // function_execution_id, workflow_execution_id
	CallbackID      string
	TeamID, UserID  string // who started the workflow
	State           string // one of the Execution… constants
	Inputs, Outputs map[string]any
	Error           string // what the app said of its failure
	Started, Ended  time.Time
	Token           string // the newest bot_access_token
}

// execution is an Execution with what it belongs to.
type execution struct {
	Execution
	inst  *installation
	chain *chain // of its tokens
}

// functionTokenLife is how long a bot_access_token lives, if its execution runs that long.
const functionTokenLife = 15 * time.Minute

// Errors of what workflows try.
var (
	ErrNoFunction = errors.New("the app has no such function")
	ErrInputs     = errors.New("the inputs are not those that the function takes")
)

// Workflows run the steps that the app offers.
type Workflows struct {
	*engine
	record *record
	world  *world
	oauth  *oauth
	events *events
	hooks  *hooks
	runs   []*execution
}

// Run does what a workflow does that a person has started, once it reaches a step of the app: the app gets
// function_executed in the background, with Slack's retries. Inputs are checked against the function's parameters.
// Those of the type slack#/types/interactivity are filled in. It returns the function_execution_id.
func (s *Workflows) Run(_ context.Context, userID, callbackID string, inputs map[string]any) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.userLocked(userID)
	i := slices.IndexFunc(s.app.Functions, func(f Function) bool { return f.CallbackID == callbackID })
	switch {
	case u == nil || u.Deleted:
		return "", fmt.Errorf("run %s: %w", callbackID, ErrNoUser)
	case i < 0:
		return "", fmt.Errorf("run %s: %w", callbackID, ErrNoFunction)
	case s.app.EventsURL == "" && !s.app.SocketMode:
		return "", fmt.Errorf("run %s: the app has no EventsURL", callbackID)
	}
	f, in := s.app.Functions[i], s.oauth.installLocked(u.TeamID)
	if in == nil || in.chain == nil {
		return "", fmt.Errorf("run %s: %w", callbackID, ErrNotInstalled)
	}

	given := decoded(inputs)
	for _, p := range f.Inputs {
		if p.Type == interactivityType && given[p.Name] == nil {
			given[p.Name] = s.interactivityLocked(in, u)
		}
	}
	if wrong := mismatches(f.Inputs, given, false); len(wrong) > 0 {
		return "", fmt.Errorf("run %s: %w: %s", callbackID, ErrInputs, strings.Join(wrong, ", "))
	}

	x := &execution{inst: in, chain: &chain{inst: in, kind: "bot", userID: in.bot.userID}, Execution: Execution{
		ID: s.world.idLocked("Fx"), WorkflowID: s.world.idLocked("Wx"), CallbackID: callbackID, TeamID: u.TeamID,
		UserID: userID, State: ExecutionRunning, Inputs: given, Started: s.clock.Now(),
	}}
	s.runs = append(s.runs, x)
	s.sendLocked(x, f, fmt.Sprintf("Fn0SIM%05d", i+1))
	return x.ID, nil
}

// sendLocked tells the app of an execution.
func (s *Workflows) sendLocked(x *execution, f Function, functionID string) {
	o := s.events.envelopeLocked(Event{TeamID: x.TeamID, EnterpriseID: x.inst.enterpriseID, Inner: map[string]any{
		"type": "function_executed", "inputs": x.Inputs,
		"function": map[string]any{"id": functionID, "callback_id": f.CallbackID, "title": f.Title,
			"description": f.Description, "type": "app", "app_id": s.app.ID,
			"input_parameters": parametersJSON(f.Inputs), "output_parameters": parametersJSON(f.Outputs)},
		"function_execution_id": x.ID, "workflow_execution_id": x.WorkflowID, "bot_access_token": s.tokenLocked(x),
	}}, x.inst)

	// A step that fills a menu of the workflow's own has to end before its event is acknowledged.
	givesOptions := func(p Parameter) bool { return strings.HasPrefix(p.Type, "slack#/types/options_") }
	if slices.ContainsFunc(f.Outputs, givesOptions) {
		o.acked = func() {
			if x.State == ExecutionRunning {
				s.record.breachLocked(RuleFunctionLate, "function_executed of %s, which gives options, was acknowledged "+
					"before the function was completed", f.CallbackID)
			}
		}
	}
	s.events.outbox.sendLocked(o)
}

func parametersJSON(list []Parameter) []any {
	out := []any{}
	for _, p := range list {
		out = append(out, map[string]any{"type": p.Type, "name": p.Name, "title": p.Title, "description": p.Description,
			"is_required": p.Required})
	}
	return out
}

// Execution returns one run. ok is false for an unknown id.
func (s *Workflows) Execution(id string) (x Execution, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.findLocked(id); found != nil {
		return found.export(), true
	}
	return Execution{}, false
}

// Executions returns every run so far, the oldest first.
func (s *Workflows) Executions() (out []Execution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.runs {
		out = append(out, x.export())
	}
	return out
}

func (s *Workflows) findLocked(id string) *execution {
	return first(s.runs, func(x *execution) bool { return x.ID == id })
}

func (x *execution) export() Execution {
	out := x.Execution
	out.Inputs, out.Outputs, out.Token = maps.Clone(x.Inputs), maps.Clone(x.Outputs), x.chain.newest()
	return out
}

// tokenLocked is a fresh token of an execution: it does what the bot's own does, and messages and views that are made
// with it belong to the execution.
func (s *Workflows) tokenLocked(x *execution) string {
	x.chain.scopes = x.inst.chain.scopes
	value := "xwfp-" + randomDigits(12) + "-" + randomDigits(13) + "-" + randomText(24)
	s.oauth.newTokenLocked(x.chain, value, s.clock.Now().Add(functionTokenLife))
	s.oauth.tokens[value].run = x
	return value
}

const interactivityType = "slack#/types/interactivity"

// interactivityLocked is what lets an app open a view, without a trigger_id.
func (s *Workflows) interactivityLocked(in *installation, u *User) map[string]any {
	return map[string]any{"interactivity_pointer": s.hooks.newTriggerLocked(in, u.ID, u.TeamID),
		"interactor": map[string]any{"id": u.ID, "secret": s.record.secretLocked(randomText(24))}}
}

// addRunLocked says in an interaction which execution the message or view was made for. It then brings a token of its
// own, and neither the old verification token nor a response_url.
func (s *Workflows) addRunLocked(p object, x *execution, in *installation, u *User) {
	if x == nil {
		return
	}
	delete(p, "token")
	p["function_data"] = object{"execution_id": x.ID, "function": object{"callback_id": x.CallbackID},
		"inputs": x.Inputs}
	p["bot_access_token"] = s.tokenLocked(x)
	if p["trigger_id"] != nil {
		p["interactivity"] = s.interactivityLocked(in, u)
	}
}

// completeFunction is functions.completeSuccess and functions.completeError, with the execution's token or the bot's.
func (s appMethods) completeFunction(r *apiRequest) (map[string]any, *apiError) {
	failed := r.method == "functions.completeError"
	what := map[bool]string{false: "outputs", true: "error"}[failed]
	for _, name := range []string{"function_execution_id", what} {
		if !r.has(name) {
			return nil, failWith("invalid_arguments", "[ERROR] missing required field: "+name)
		}
	}
	x := s.workflows.findLocked(r.arg("function_execution_id"))
	switch {
	case x == nil:
		return nil, fail("function_execution_not_found")
	case x.inst != r.inst || r.token.run != nil && r.token.run != x:
		return nil, fail("access_denied")
	case x.State != ExecutionRunning:
		return nil, fail("execution_not_in_running_state")
	}

	state := ExecutionFailed
	if failed {
		x.Error = r.arg("error")
	} else {
		outputs, wrong := s.outputsLocked(x, r.arg("outputs"))
		if len(wrong) > 0 {
			return nil, failWith("parameter_validation_failed", wrong...)
		}
		x.Outputs, state = outputs, ExecutionCompleted
	}
	x.State, x.Ended = state, s.clock.Now()
	for _, t := range x.chain.access {
		t.state = retired // it ends with the step
	}
	s.noteLocked()
	return nil, nil
}

// outputsLocked checks what a function gives.
func (s appMethods) outputsLocked(x *execution, raw string) (map[string]any, []string) {
	var outputs map[string]any
	if blockkit.Decode([]byte(raw), &outputs) != nil || outputs == nil {
		return nil, []string{"outputs must be an object"}
	}
	var takes []Parameter
	for _, f := range s.app.Functions {
		if f.CallbackID == x.CallbackID {
			takes = f.Outputs
		}
	}
	return outputs, mismatches(takes, outputs, s.app.ExtraOutputs)
}

// decoded is what the other side of JSON makes of values.
func decoded(values map[string]any) map[string]any {
	out := map[string]any{}
	if raw, err := json.Marshal(values); err == nil && values != nil {
		_ = blockkit.Decode(raw, &out)
	}
	return out
}

// mismatches says how values differ from what parameters want. With extra, those of no parameter are let through.
func mismatches(want []Parameter, values map[string]any, extra bool) (wrong []string) {
	known := map[string]bool{}
	for _, p := range want {
		known[p.Name] = true
		switch v, given := values[p.Name]; {
		case (!given || v == nil) && p.Required:
			wrong = append(wrong, p.Name+" is missing")
		case v != nil && !fits(p.Type, v):
			wrong = append(wrong, fmt.Sprintf("%s is no %s", p.Name, p.Type))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !known[name] && !extra {
			wrong = append(wrong, name+" is no parameter of the function")
		}
	}
	return wrong
}

// fits reports whether a decoded value is of a parameter's type. Types that nobody knows here take anything.
func fits(typ string, v any) bool {
	ok := true
	switch strings.TrimPrefix(typ, "slack#/types/") {
	case "string", "user_id", "channel_id", "usergroup_id", "message_ts", "date", "canvas_id", "list_id":
		_, ok = v.(string)
	case "number":
		_, ok = v.(json.Number)
	case "integer", "timestamp":
		n, isNumber := v.(json.Number)
		_, err := n.Int64()
		ok = isNumber && err == nil
	case "boolean":
		_, ok = v.(bool)
	case "array", "blocks":
		_, ok = v.([]any)
	case "object", "user_context", "interactivity", "message_context":
		_, ok = v.(object)
	}
	return ok
}
