package bot

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
)

// odd are things that slack-go can't read, by where they stand in a list of blocks. The block beside them can be read.
var odd = map[string]string{
	"element of a row":           `{"type":"actions","block_id":"odd","elements":[{"type":"element_of_tomorrow","action_id":"x"}]}`,
	"element of an input":        `{"type":"input","block_id":"odd","label":{"type":"plain_text","text":"l"},"element":{"type":"element_of_tomorrow"}}`,
	"accessory of another shape": `{"type":"section","block_id":"odd","text":{"type":"mrkdwn","text":"t"},"accessory":["?"]}`,
	"block":                      `{"type":"block_of_tomorrow","elements":{"type":7}}`,
	"block without a type":       `{"elements":[1]}`,
	"block that is text":         `"block"`,
	"block whose type is none":   `{"type":{"id":7}}`,
	"field of another type":      `{"type":"header","block_id":7,"text":{"type":"plain_text","text":{"deeper":"x"}}}`,
	"list that is an object":     `{"type":"actions","elements":{"0":{"type":"button"}}}`,
	"option":                     `{"type":"actions","elements":[{"type":"static_select","action_id":"s","options":[{"text":7,"value":{"a":1}},3]}]}`,
	"rich text":                  `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"x","style":{"bold":"yes"}},{"type":"of_tomorrow","x":[{}]}]}]}`,
	"table":                      `{"type":"table","rows":[[{"type":"cell_of_tomorrow"}],"row"]}`,
	"blocks in a container":      `{"type":"container","child_blocks":[{"type":"actions","elements":[{"type":"element_of_tomorrow"}]}]}`,
	"nested lists":               `[[[[{"type":"actions"}]]]]`,
}

const readable = `{"type":"header","block_id":"known","text":{"type":"plain_text","text":"read me"}}`

// known reports whether the block that can be read is among these.
func known(blocks slack.Blocks) bool {
	return slices.ContainsFunc(blocks.BlockSet, func(b slack.Block) bool { return b.ID() == "known" })
}

func TestOddPartsCostNoMessage(t *testing.T) {
	t.Parallel()
	for name, block := range odd {
		blocks := "[" + block + "," + readable + "]"
		body := fmt.Sprintf(`{"type":"message","channel":"D1","channel_type":"im","user":"U1","text":"help","ts":"1.1","blocks":%s,
			"attachments":[{"text":"attached","blocks":%[1]s}],"files":[{"id":"F1","size":"many"}]}`, blocks)
		m, _, err := lenient.Decode[slackevents.MessageEvent]([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Text != "help" || m.User != "U1" || m.Channel != "D1" || m.ChannelType != "im" || !known(m.Blocks) {
			t.Errorf("%s: left of the message: %+v", name, m)
		}
		if a := m.Message.Attachments; len(a) != 1 || a[0].Text != "attached" || !known(a[0].Blocks) {
			t.Errorf("%s: left of the attachment: %+v", name, a)
		}
	}
}

func TestOddPartsCostNoPress(t *testing.T) {
	t.Parallel()
	for name, block := range odd {
		blocks := "[" + readable + "," + block + "]"
		body := fmt.Sprintf(`{"type":"block_actions","api_app_id":"A1","is_enterprise_install":"false","team":{"id":"T1"},"user":{"id":"U1","team_id":"T1","profile":7},
			"channel":{"id":"C1","name":["general"]},"response_url":"https://hooks.slack.com/actions/1","trigger_id":"1.2.a","container":{"type":"message","message_ts":"1.1","attachment_id":"one"},
			"message":{"type":"message","text":"Shall I?","ts":"1.1","blocks":%s},"view":{"id":"V1","blocks":%[1]s,"callback_id":"form"},
			"state":{"values":{"b":{"a":{"type":"plain_text_input","value":"typed","selected_date_time":"soon"}}}},
			"actions":[{"type":"button","action_id":"go","block_id":"b","value":"1","text":{"type":"plain_text","text":"Go","emoji":"yes"}}]}`, blocks)
		i, _, err := lenient.Decode[interaction]([]byte(body))
		if err != nil || i.User.ID != "U1" || len(i.Actions) != 1 || i.Actions[0].ActionID != "go" || i.Org ||
			i.ResponseURL == "" {
			t.Errorf("%s: routed by %+v (%v)", name, i, err)
		}
		c, left, err := lenient.Decode[slack.InteractionCallback]([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a := c.ActionCallback.BlockActions; len(a) != 1 || a[0].ActionID != "go" || a[0].Value != "1" ||
			a[0].Text.Text != "Go" {
			t.Errorf("%s: actions: %+v", name, a)
		}
		if c.User.ID != "U1" || c.Channel.ID != "C1" || c.ResponseURL == "" || c.TriggerID == "" ||
			c.Message.Text != "Shall I?" || c.View.CallbackID != "form" {
			t.Errorf("%s: left of the press: %+v", name, c)
		}
		if got := c.BlockActionState; got == nil || got.Values["b"]["a"].Value != "typed" {
			t.Errorf("%s: state: %+v", name, got)
		}
		if !known(c.Message.Blocks) || !known(c.View.Blocks) {
			t.Errorf("%s: the block beside it is gone, with %v", name, left)
		}
	}
}

// A press names its person, app and flags in other JSON types than usual: it finds its way all the same.
func TestRoutingIsLenient(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"type":"block_actions","api_app_id":"A1","team":"T1","user":"U1","is_enterprise_install":"true","enterprise":"E1","actions":[{"action_id":"go","block_id":7}]}`,
		`{"type":"block_actions","api_app_id":"A1","team":{"id":"T1"},"user":{"id":"U1","team_id":false},"is_enterprise_install":true,"enterprise":{"id":"E1"},"message":"gone","container":[],"view":[],"actions":[3,{"action_id":"go"}]}`,
	} {
		i, _, err := lenient.Decode[interaction]([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		k, team := i.key("")
		if k.EnterpriseID != "E1" || k.TeamID != "" || team != "T1" || i.User.ID != "U1" ||
			i.Actions[len(i.Actions)-1].ActionID != "go" {
			t.Errorf("%s: %+v for %s in %s", body, i, k, team)
		}
	}
}

// What is no JSON, or no object, is no payload.
func TestWhatIsNoPayloadIsAnError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `{`, `{"type":"message"`, `7`, `"text"`, `[1]`} {
		if v, _, err := lenient.Decode[slackevents.MessageEvent]([]byte(body)); err == nil {
			t.Errorf("%q became %+v", body, v)
		}
	}
}

// Whatever JSON object comes as a press, its handler gets who pressed what, and where to answer.
func FuzzDecode(f *testing.F) {
	for _, block := range odd {
		f.Add(
			[]byte(`{"type":"block_actions","user":{"id":"U1"},"response_url":"https://x","message":{"text":"t","blocks":[` +
				block + `]},"actions":[{"action_id":"go","block_id":"b"}]}`))
	}
	f.Add([]byte(`{"type":"view_submission","view":{"state":{"values":{"b":{"a":{"value":7}}}}},"state":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var object map[string]any
		if json.Unmarshal(body, &object) != nil || object == nil {
			return
		}
		i, _, err := lenient.Decode[interaction](body)
		if err != nil {
			t.Fatalf("%q is not routed: %v", body, err)
		}
		c, _, err := lenient.Decode[slack.InteractionCallback](body)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if c.ResponseURL != i.ResponseURL || c.User.ID != i.User.ID || c.TriggerID != i.Trigger {
			t.Fatalf("%q: routed by %+v, and the handler gets %+v", body, i, c)
		}
		if _, _, err := lenient.Decode[slackevents.MessageEvent](body); err != nil {
			t.Fatalf("%q as a message: %v", body, err)
		}
	})
}
