package slacksim

// Methods of the Web API that this Slack lacks, and what a test puts in their place.

import "fmt"

// Answerer answers a call of a Web API method. What it returns is the answer's fields: ok is true without being among
// them. An error's text is the error code that the app gets instead, like errors.New("channel_not_found").
type Answerer func(call Call) (answer map[string]any, err error)

// Handle supplies the answer of a method of the Web API, one that this Slack lacks or one that is to answer otherwise.
// The call's token is checked first as for every method. It must be one of a workspace or the app's own. answer is
// called without any lock, so it can use the Sim, and may be called several times at the same time. nil takes it away.
func (s *Sim) Handle(method string, answer Answerer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer == nil {
		delete(s.api.given, method)
		return
	}
	s.api.given[method] = answer
}

// answerLocked has a call answered by who was given to Handle. Meanwhile nothing is locked.
func (s *api) answerLocked(given Answerer, call Call) (map[string]any, *apiError) {
	s.mu.Unlock()
	defer s.mu.Lock()
	answer, err := given(call)
	if err != nil {
		return answer, fail(err.Error())
	}
	return answer, nil
}

// unknownLocked says which method this Slack lacks, and how a test gets one.
func (s *api) unknownLocked(name string) *apiError {
	why := fmt.Sprintf("slacksim has no method %s. Sim.Handle(%q, …) supplies its answer.", name, name)
	s.record.breachLocked(RuleUnknownMethod, "%s", why)
	err := failWith("unknown_method", "[ERROR] "+why)
	err.extra["req_method"] = name // as in Slack's own answer
	return err
}
