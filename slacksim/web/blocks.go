package web

// Block Kit as HTML. Like in mrkdwn.go, everything passes through esc exactly once.
// docs.slack.dev/reference/block-kit

import (
	"cmp"
	"encoding/json"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

type object = blockkit.Object

func textOf(v any) string { return blockkit.Text(v) }

var emojiAnywhere = regexp.MustCompile(`:[a-z0-9_+-]+:`)

// text renders a text object.
func (n names) text(v any) string {
	o, _ := v.(object)
	t := textOf(o["text"])
	if o["type"] == "mrkdwn" {
		return string(n.mrkdwn(t))
	}
	// plain_text knows no notation but emoji and line breaks.
	t = emojiAnywhere.ReplaceAllStringFunc(esc(t), func(k string) string {
		if o["emoji"] == false {
			return k
		}
		return cmp.Or(emojis[strings.Trim(k, ":")], k)
	})
	return strings.ReplaceAll(t, "\n", "<br>")
}

// surface says where blocks stand, for what their elements need.
type surface struct {
	names
	inView  bool                       // a modal: buttons belong to its form
	dead    bool                       // nothing can be pressed (the app is gone)
	typed   slacksim.Inputs            // what the person had entered
	errors  map[string]string          // by block_id
	choices func(kind string) []option // people and channels for the select menus of those
	prefix  string                     // makes element ids unique on the page
	pingTo  string                     // where a link button reports its press
}

type option struct{ Value, Text string }

// blocks renders Block Kit. The interactive parts are form controls: the caller puts them into a form that posts the
// pressed button as action=block_id/action_id and menus and inputs as v/block_id/action_id.
func (f surface) blocks(raw json.RawMessage) template.HTML {
	var list []object
	if blockkit.Decode(raw, &list) != nil {
		return ""
	}
	var b strings.Builder
	for _, x := range list {
		f.block(&b, x)
	}
	return template.HTML(b.String())
}

func openBlock(b *strings.Builder, tag, class string, x object) {
	b.WriteString(`<` + tag + ` class="block ` + class + `" data-block-id="` + esc(textOf(x["block_id"])) + `">`)
}

func (f surface) block(b *strings.Builder, x object) {
	switch typ := textOf(x["type"]); typ {
	case "header":
		openBlock(b, "div", "block-header", x)
		b.WriteString(`<h2>` + f.text(x["text"]) + `</h2></div>`)
	case "divider":
		b.WriteString(`<hr class="block block-divider">`)
	case "section":
		f.section(b, x)
	case "actions":
		openBlock(b, "div", "block-actions", x)
		for _, o := range objects(x["elements"]) {
			f.element(b, textOf(x["block_id"]), o)
		}
		b.WriteString(`</div>`)
	case "context":
		f.context(b, x)
	case "image":
		openBlock(b, "figure", "block-image", x)
		if x["title"] != nil {
			b.WriteString(`<figcaption>` + f.text(x["title"]) + `</figcaption>`)
		}
		f.image(b, x, "")
		b.WriteString(`</figure>`)
	case "input":
		f.input(b, x)
	case "markdown":
		openBlock(b, "div", "block-markdown", x)
		b.WriteString(strings.ReplaceAll(esc(textOf(x["text"])), "\n", "<br>") + `</div>`)
	case "rich_text":
		openBlock(b, "div", "block-rich-text", x)
		f.rich(b, x["elements"])
		b.WriteString(`</div>`)
	default:
		openBlock(b, "div", "block-unknown", x)
		b.WriteString(`This block is not shown here: <code>` + esc(typ) + `</code></div>`)
	}
}

// objects are the objects of a list.
func objects(v any) (out []object) {
	list, _ := v.([]any)
	for _, e := range list {
		if o, ok := e.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func (f surface) section(b *strings.Builder, x object) {
	openBlock(b, "div", "block-section", x)
	b.WriteString(`<div class="section-body">`)
	if x["text"] != nil {
		b.WriteString(`<div class="section-text">` + f.text(x["text"]) + `</div>`)
	}
	if fields, _ := x["fields"].([]any); len(fields) > 0 {
		b.WriteString(`<div class="fields">`)
		for _, y := range fields {
			b.WriteString(`<div class="field">` + f.text(y) + `</div>`)
		}
		b.WriteString(`</div>`)
	}
	b.WriteString(`</div>`)

	if a, ok := x["accessory"].(object); ok {
		b.WriteString(`<div class="accessory">`)
		f.element(b, textOf(x["block_id"]), a)
		b.WriteString(`</div>`)
	}
	b.WriteString(`</div>`)
}

func (f surface) context(b *strings.Builder, x object) {
	openBlock(b, "div", "block-context", x)
	for _, o := range objects(x["elements"]) {
		if o["type"] == "image" {
			f.image(b, o, "context-image")
		} else {
			b.WriteString(`<span class="context-text">` + f.text(o) + `</span>`)
		}
	}
	b.WriteString(`</div>`)
}

var richTags = map[string]string{
	"rich_text_section": "div", "rich_text_quote": "blockquote", "rich_text_preformatted": "pre", "rich_text_list": "ul",
}

// rich renders rich_text as far as people's and apps' plain prose needs it.
func (f surface) rich(b *strings.Builder, v any) {
	for _, o := range objects(v) {
		typ := textOf(o["type"])
		tag := richTags[typ]
		if tag == "" {
			b.WriteString(f.richWord(typ, o))
			continue
		}
		b.WriteString("<" + tag + ">")
		if tag != "ul" {
			f.rich(b, o["elements"])
		} else {
			for _, i := range objects(o["elements"]) {
				b.WriteString("<li>")
				f.rich(b, []any{i})
				b.WriteString("</li>")
			}
		}
		b.WriteString("</" + tag + ">")
	}
}

func (f surface) richWord(typ string, o object) (tag string) {
	switch typ {
	case "text":
		t := strings.ReplaceAll(esc(textOf(o["text"])), "\n", "<br>")
		st, _ := o["style"].(object)
		for _, k := range [][2]string{{"code", "code"}, {"strike", "s"}, {"italic", "em"}, {"bold", "strong"}} {
			if st[k[0]] == true {
				t = "<" + k[1] + ">" + t + "</" + k[1] + ">"
			}
		}
		return t
	case "link":
		to := textOf(o["url"])
		tag, _ = f.token(blockkit.Escape(to) + "|" + blockkit.Escape(cmp.Or(textOf(o["text"]), to)))
	case "user":
		tag, _ = f.token("@" + textOf(o["user_id"]))
	case "channel":
		tag, _ = f.token("#" + textOf(o["channel_id"]))
	case "emoji":
		tag = f.text(object{"type": "plain_text", "text": ":" + textOf(o["name"]) + ":"})
	}
	return tag
}

func (f surface) image(b *strings.Builder, o object, class string) {
	alt := textOf(o["alt_text"])
	src := safeURL(textOf(o["image_url"]))
	if src == "" {
		b.WriteString(`<span class="no-image">` + esc(alt) + `</span>`)
		return
	}
	b.WriteString(`<img class="` + class + `" src="` + esc(src) + `" alt="` + esc(alt) + `" loading="lazy">`)
}

func (f surface) input(b *strings.Builder, x object) {
	e, _ := x["element"].(object)
	id := textOf(x["block_id"])
	fail, ref, class := f.errors[id], f.prefix+"-"+id, "block-input"
	if fail != "" {
		class += " invalid"
	}
	openBlock(b, "div", class, x)

	label := f.text(x["label"])
	if x["optional"] == true {
		label += ` <span class="optional">(optional)</span>`
	}
	group := e["type"] == "radio_buttons" || e["type"] == "checkboxes"
	if group {
		b.WriteString(`<fieldset><legend>` + label + `</legend>`)
	} else {
		b.WriteString(`<label for="` + esc(ref) + `">` + label + `</label>`)
	}
	f.control(b, id, e, control{ref: ref, invalid: fail != "", acts: x["dispatch_action"] == true})
	if group {
		b.WriteString(`</fieldset>`)
	}

	if x["hint"] != nil {
		b.WriteString(`<p class="hint">` + f.text(x["hint"]) + `</p>`)
	}
	if fail != "" {
		b.WriteString(`<p class="error" id="` + esc(ref) + `-error" role="alert">` + esc(fail) + `</p>`)
	}
	b.WriteString(`</div>`)
}

// element renders a button, image or menu outside an input block. Menus act immediately.
func (f surface) element(b *strings.Builder, block string, e object) {
	switch e["type"] {
	case "image":
		f.image(b, e, "accessory-image")
	case "button":
		f.button(b, block, e)
	case "overflow":
		f.overflow(b, block, e)
	default:
		action := textOf(e["action_id"])
		b.WriteString(`<span class="menu-control" data-action-id="` + esc(action) + `">`)
		f.control(b, block, e, control{ref: f.prefix + "-" + block + "-" + action, acts: true})
		b.WriteString(`</span>`)
	}
}

func (f surface) button(b *strings.Builder, block string, e object) {
	action, class := textOf(e["action_id"]), "button"
	if st := textOf(e["style"]); st == "primary" || st == "danger" {
		class += " " + st
	}
	attrs := ` class="` + class + `" data-action-id="` + esc(action) + `"`
	if l := textOf(e["accessibility_label"]); l != "" {
		attrs += ` aria-label="` + esc(l) + `"`
	}
	if u := textOf(e["url"]); u != "" {
		f.linkButton(b, u, field(block, action), attrs, f.text(e["text"]))
		return
	}

	b.WriteString(`<button type="submit" name="action" value="` + esc(field(block, action)) + `"` + attrs + confirmData(e))
	if f.dead {
		b.WriteString(` disabled`)
	}
	if f.inView {
		b.WriteString(` formnovalidate`)
	}
	b.WriteString(`>` + f.text(e["text"]) + `</button>`)
}

func (f surface) linkButton(b *strings.Builder, to, action, attrs, words string) {
	href := safeURL(to)
	if href == "" {
		b.WriteString(`<span` + attrs + ` aria-disabled="true">` + words + `</span>`)
		return
	}
	// The browser itself reports the press (ping). The script takes that over where it runs.
	ping := ""
	if f.pingTo != "" && !f.dead {
		ping = ` ping="` + esc(f.pingTo+"?action="+url.QueryEscape(action)) + `"`
	}
	b.WriteString(`<a` + attrs + ` href="` + esc(href) + `" target="_blank" rel="noopener noreferrer"` + ping + `>` +
		words + `</a>`)
}

// overflow is a menu that opens without a script. Each entry is a button that carries the choice.
func (f surface) overflow(b *strings.Builder, block string, e object) {
	action := textOf(e["action_id"])
	b.WriteString(`<details class="overflow"><summary aria-label="More actions">⋯</summary><div class="menu">`)
	blockkit.EachOption(e, func(o object) {
		value := textOf(o["value"])
		b.WriteString(`<button type="submit" class="menu-item" name="action" value="` + esc(field(block, action, value)) +
			`" data-action-id="` + esc(action) + `" data-value="` + esc(value) + `"` + confirmData(e))
		if f.dead {
			b.WriteString(` disabled`)
		}
		b.WriteString(`>` + f.text(o["text"]) + `</button>`)
	})
	b.WriteString(`</div></details>`)
}

// confirmData carries a confirmation dialog to the script. Without one the server asks on a page of its own.
func confirmData(e object) string {
	c, ok := e["confirm"].(object)
	if !ok {
		return ""
	}
	word := func(k string) string { return esc(blockkit.Words(c[k])) }
	return ` data-confirm-title="` + word("title") + `" data-confirm-text="` + plain(blockkit.Words(c["text"])) +
		`" data-confirm-yes="` + word("confirm") + `" data-confirm-no="` + word("deny") + `"`
}

// control is an element that holds a value. Where it acts, it comes with a button that sends the value. The script
// does that by itself.
type control struct {
	ref, name     string // id, and the name it is sent under
	action        string
	hint, attrs   string
	now           slacksim.Input
	invalid, acts bool
}

// typedKinds are the inputs that are one field of a form.
var typedKinds = map[string]string{
	"plain_text_input": "text", "email_text_input": "email", "url_text_input": "url", "number_input": "number",
	"datepicker": "date", "timepicker": "time", "datetimepicker": "datetime-local",
}

func (f surface) control(b *strings.Builder, block string, e object, c control) {
	c.action = textOf(e["action_id"])
	c.name = "v/" + field(block, c.action)
	var ok bool
	if c.now, ok = f.typed[block][c.action]; !ok {
		c.now.Value, c.now.Values = blockkit.Initial(e)
	}
	c.hint = blockkit.Words(e["placeholder"])
	c.attrs = f.attributes(c)

	typ := textOf(e["type"])
	switch {
	case typ == "plain_text_input" && e["multiline"] == true:
		b.WriteString(`<textarea rows="4"` + c.attrs + ` placeholder="` + esc(c.hint) + `">` + "\n" + esc(c.now.Value) +
			`</textarea>`)
	case typedKinds[typ] != "":
		b.WriteString(`<input type="` + typedKinds[typ] + `"` + c.attrs + ` placeholder="` + esc(c.hint) +
			`" value="` + esc(c.now.Value) + `">`)
	case typ == "radio_buttons":
		f.boxes(b, "radio", e, c)
	case typ == "checkboxes":
		f.boxes(b, "checkbox", e, c)
	case strings.HasSuffix(typ, "_select") && typ != "external_select" && typ != "multi_external_select":
		f.menu(b, typ, e, c)
	default:
		b.WriteString(`<span class="block-unknown">This element is not shown here: <code>` + esc(typ) + `</code></span>`)
		return
	}
	if c.acts && !f.dead {
		b.WriteString(`<button type="submit" class="button set" name="action" value="` + esc(field(block, c.action)) +
			`" formnovalidate` + confirmData(e) + `>Set</button>`)
	}
}

func (f surface) attributes(c control) string {
	attrs := ` id="` + esc(c.ref) + `" name="` + esc(c.name) + `" data-action-id="` + esc(c.action) + `"`
	if c.invalid {
		attrs += ` aria-invalid="true" aria-describedby="` + esc(c.ref) + `-error"`
	}
	if c.acts {
		attrs += ` data-acts="1" aria-label="` + esc(cmp.Or(c.hint, c.action)) + `"`
	}
	if f.dead {
		attrs += ` disabled`
	}
	return attrs
}

// chosen is the attribute of an option that is chosen, "" for one that isn't.
func (c control) chosen(value, attribute string) string {
	if value == c.now.Value && value != "" || slices.Contains(c.now.Values, value) {
		return attribute
	}
	return ""
}

func (f surface) boxes(b *strings.Builder, kind string, e object, c control) {
	blockkit.EachOption(e, func(o object) {
		v := textOf(o["value"])
		check := c.chosen(v, " checked")
		if f.dead {
			check += " disabled"
		}
		b.WriteString(`<label class="choice"><input type="` + kind + `" name="` + esc(c.name) + `" value="` + esc(v) +
			`" data-action-id="` + esc(c.action) + `"` + check + `> ` + f.text(o["text"]) + `</label>`)
	})
}

func (f surface) menu(b *strings.Builder, typ string, e object, c control) {
	kind, several := strings.CutPrefix(typ, "multi_")
	if several {
		b.WriteString(`<select` + c.attrs + ` multiple>`)
	} else {
		b.WriteString(`<select` + c.attrs + `><option value="">` + esc(cmp.Or(c.hint, "Choose…")) + `</option>`)
	}
	one := func(v, text string) {
		b.WriteString(`<option value="` + esc(v) + `"` + c.chosen(v, " selected") + `>` + text + `</option>`)
	}
	if kind == "static_select" {
		blockkit.EachOption(e, func(o object) { one(textOf(o["value"]), f.text(o["text"])) })
	} else if f.choices != nil {
		for _, o := range f.choices(kind) {
			one(o.Value, esc(o.Text))
		}
	}
	b.WriteString(`</select>`)
}
