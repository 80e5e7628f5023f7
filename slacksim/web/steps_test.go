package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

// A person runs a step of a workflow as the builder would: by its form, and with what comes of it on the app's page.
func TestStepsWithoutScript(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) {
		c.App.Functions = []slacksim.Function{{CallbackID: "open_ticket", Title: "Open <a> ticket",
			Inputs: []slacksim.Parameter{
				{Name: "title", Title: "Title", Type: "string", Required: true},
				{Name: "who", Title: "Who", Type: "slack#/types/user_id"}, {Name: "where", Type: "slack#/types/channel_id"},
				{Name: "count", Type: "integer"}, {Name: "loud", Title: "Tell all", Type: "boolean"},
				{Name: "text", Type: "slack#/types/rich_text"}, {Name: "open", Type: "slack#/types/interactivity"},
			},
			Outputs: []slacksim.Parameter{{Name: "url", Title: "The ticket", Type: "string"}},
		}}
	})
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	const app, step = "/client/T0ACME0001/app", "/client/T0ACME0001/app/step"
	if page := b.open(app); strings.Contains(page, "Workflow steps") {
		t.Error("steps of an app that is not installed")
	}
	tok := w.Install(slacksim.AcmeAdmin)
	b.want(b.open(app), "Workflow steps", `href="`+step+`?id=open_ticket"`,
		`aria-label="Run the step Open &lt;a&gt; ticket"`)
	page := b.open(step + "?id=open_ticket")
	b.want(page, `name="in/title" value="" required`, `<option value="U0ACMELEON">Leon Okafor</option>`,
		`<option value="C0ACMEGENE">#general</option>`, `type="number" name="in/count" value="" step="1"`,
		`type="checkbox" name="in/loud"`, `<textarea id="in-5" name="in/text"`)
	if strings.Contains(page, `name="in/open"`) {
		t.Error("it asks for what Slack fills in")
	}

	code, page := b.send(step, "id", "open_ticket", "in/title", "Fire", "in/count", "three")
	if code != http.StatusBadRequest {
		t.Errorf("a word for a number: %d", code)
	}
	b.want(page, "count has to be a number.", `value="Fire"`)
	code, page = b.send(step, "id", "open_ticket", "in/count", "3")
	if code != http.StatusBadRequest {
		t.Errorf("without what it needs: %d", code)
	}
	b.want(page, "title is missing")

	b.send(step, "id", "open_ticket", "in/title", "Fire", "in/count", "3", "in/loud", "yes", "in/who", slacksim.AcmeMember,
		"in/text", `[{"type":"rich_text_section"}]`)
	w.Settled()
	run := w.Sim.Workflows.Executions()[0]
	if b.at != app || run.Inputs["loud"] != true || run.Inputs["who"] != slacksim.AcmeMember ||
		run.UserID != slacksim.AcmeAdmin {
		t.Errorf("at %s, ran %+v", b.at, run)
	}
	b.want(b.open(app), `<span class="tag running">running</span>`, "Refresh")
	w.Call("functions.completeSuccess", tok, "function_execution_id", run.ID, "outputs", `{"url":"https://t.example/1"}`)
	b.want(b.open(app), `<span class="tag completed">completed</span>`, "The ticket:", `<a href="https://t.example/1"`)

	if code, _ := b.send(step, "id", "other"); code != http.StatusNotFound {
		t.Errorf("an unknown step: %d", code)
	}
	w.WantBreaches()
}
