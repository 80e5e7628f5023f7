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
	inView  bool                                         // a modal: buttons belong to its form
	dead    bool                                         // nothing can be pressed (the app is gone)
	typed   slacksim.Inputs                              // what the person had entered
	errors  map[string]string                            // by block_id
	choices func(kind string) []option                   // people and channels for the select menus of those
	offered func(block, action string) []slacksim.Option // what menus were filled with
	prefix  string                                       // makes element ids unique on the page
	pingTo  string                                       // where a link button reports its press
}

type option struct{ Value, Text string }

// blocks renders Block Kit. The interactive parts are form controls: the caller puts them into a form that posts the
// pressed button as action=block_id/action_id and menus and inputs as v/block_id/action_id.
func (f surface) blocks(raw json.RawMessage) template.HTML {
	var list []object
	if blockkit.Decode(raw, &list) != nil {
		return ""
	}
	return template.HTML(each(list, f.block))
}

// all renders the objects of a list.
func all(list any, render func(object) string) string { return each(blockkit.Objects(list), render) }

// each renders one after the other.
func each(list []object, render func(object) string) string {
	var b strings.Builder
	for _, o := range list {
		b.WriteString(render(o))
	}
	return b.String()
}

// within puts what is rendered already into an element of that class.
func within(tag, class, inner string) string {
	return `<` + tag + ` class="` + class + `">` + inner + `</` + tag + `>`
}

// whole is an element that shows a block.
func whole(tag, class string, x object, inner string) string {
	return `<` + tag + ` class="block ` + class + `" data-block-id="` + esc(textOf(x["block_id"])) + `">` + inner +
		`</` + tag + `>`
}

func (f surface) block(x object) string {
	switch typ := textOf(x["type"]); typ {
	case "header":
		return whole("div", "block-header", x, `<h2>`+f.text(x["text"])+`</h2>`)
	case "divider":
		return `<hr class="block block-divider">`
	case "section":
		return whole("div", "block-section", x, f.section(x))
	case "actions":
		return whole("div", "block-actions", x, all(x["elements"], func(e object) string {
			return f.element(textOf(x["block_id"]), e)
		}))
	case "context":
		return whole("div", "block-context", x, all(x["elements"], f.context))
	case "image":
		title := ""
		if x["title"] != nil {
			title = `<figcaption>` + f.text(x["title"]) + `</figcaption>`
		}
		return whole("figure", "block-image", x, title+f.image(x, ""))
	case "input":
		return f.input(x)
	case "markdown":
		return whole("div", "block-markdown", x, f.markdown(textOf(x["text"])))
	case "rich_text":
		return whole("div", "block-rich-text", x, all(x["elements"], f.rich))
	default:
		if html, ok := f.composed(typ, x); ok {
			return html
		}
		return whole("div", "block-unknown", x, `This block is not shown here: <code>`+esc(typ)+`</code>`)
	}
}

// broken is text without notation, but for its line breaks.
func broken(t string) string { return strings.ReplaceAll(esc(t), "\n", "<br>") }

func (f surface) section(x object) string {
	body := ""
	if x["text"] != nil {
		body = within("div", "section-text", f.text(x["text"]))
	}
	if list, _ := x["fields"].([]any); len(list) > 0 {
		fields := ""
		for _, y := range list {
			fields += within("div", "field", f.text(y))
		}
		body += within("div", "fields", fields)
	}

	body = within("div", "section-body", body)
	if a, ok := x["accessory"].(object); ok {
		body += within("div", "accessory", f.element(textOf(x["block_id"]), a))
	}
	return body
}

// context renders one element of a context block.
func (f surface) context(e object) string {
	if e["type"] == "image" {
		return f.image(e, "context-image")
	}
	return within("span", "context-text", f.text(e))
}

var richTags = map[string]string{
	"rich_text_section": "div", "rich_text_quote": "blockquote", "rich_text_preformatted": "pre", "rich_text_list": "ul",
}

// rich renders an element of rich_text as far as people's and apps' plain prose needs it.
func (f surface) rich(o object) string {
	typ, render := textOf(o["type"]), f.rich
	tag := richTags[typ]
	switch tag {
	case "":
		return f.richWord(typ, o)
	case "ul":
		if o["style"] == "ordered" {
			tag = "ol"
		}
		render = func(item object) string { return "<li>" + f.rich(item) + "</li>" }
	}
	return "<" + tag + ">" + all(o["elements"], render) + "</" + tag + ">"
}

func (f surface) richWord(typ string, o object) (tag string) {
	switch typ {
	case "text":
		t := broken(textOf(o["text"]))
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

func (f surface) image(o object, class string) string {
	alt := textOf(o["alt_text"])
	src := safeURL(textOf(o["image_url"]))
	if src == "" {
		return within("span", "no-image", esc(alt))
	}
	return `<img class="` + class + `" src="` + esc(src) + `" alt="` + esc(alt) + `" loading="lazy">`
}

func (f surface) input(x object) string {
	e, _ := x["element"].(object)
	id := textOf(x["block_id"])
	fail, ref, class := f.errors[id], f.prefix+"-"+id, "block-input"
	label := f.text(x["label"])
	if x["optional"] == true {
		label += ` <span class="optional">(optional)</span>`
	}

	inner := f.control(id, e, control{ref: ref, invalid: fail != "", acts: x["dispatch_action"] == true})
	if e["type"] == "radio_buttons" || e["type"] == "checkboxes" {
		inner = `<fieldset><legend>` + label + `</legend>` + inner + `</fieldset>`
	} else {
		labelled := ref
		if strings.HasSuffix(textOf(e["type"]), "external_select") {
			labelled += "-search"
		}
		inner = `<label for="` + esc(labelled) + `">` + label + `</label>` + inner
	}

	if x["hint"] != nil {
		inner += within("p", "hint", f.text(x["hint"]))
	}
	if fail != "" {
		class += " invalid"
		inner += `<p class="error" id="` + esc(ref) + `-error" role="alert">` + esc(fail) + `</p>`
	}
	return whole("div", class, x, inner)
}

// element renders a button, image or menu outside an input block. Menus act immediately.
func (f surface) element(block string, e object) string {
	switch e["type"] {
	case "image":
		return f.image(e, "accessory-image")
	case "button":
		return f.button(block, e)
	case "overflow":
		return f.overflow(block, e)
	case "feedback_buttons":
		return f.answer(block, e, "positive_button") + f.answer(block, e, "negative_button")
	case "icon_button":
		return f.iconButton(block, e)
	case "workflow_button":
		w, _ := e["workflow"].(object)
		t, _ := w["trigger"].(object)
		return f.linkButton(textOf(t["url"]), field(block, textOf(e["action_id"])), ` class="button"`, f.text(e["text"]))
	default:
		action := textOf(e["action_id"])
		return `<span class="menu-control" data-action-id="` + esc(action) + `">` +
			f.control(block, e, control{ref: f.prefix + "-" + block + "-" + action, acts: true}) + `</span>`
	}
}

// disabled is the attribute of what can't be pressed, "" where it can.
func (f surface) disabled() string {
	if f.dead {
		return ` disabled`
	}
	return ""
}

func (f surface) button(block string, e object) string {
	action, class := textOf(e["action_id"]), "button"
	if st := textOf(e["style"]); st == "primary" || st == "danger" {
		class += " " + st
	}
	attrs := ` class="` + class + `" data-action-id="` + esc(action) + `"`
	if l := textOf(e["accessibility_label"]); l != "" {
		attrs += ` aria-label="` + esc(l) + `"`
	}
	if u := textOf(e["url"]); u != "" {
		return f.linkButton(u, field(block, action), attrs, f.text(e["text"]))
	}

	attrs += confirmData(e) + f.disabled()
	if f.inView {
		attrs += ` formnovalidate`
	}
	return `<button type="submit" name="action" value="` + esc(field(block, action)) + `"` + attrs + `>` +
		f.text(e["text"]) + `</button>`
}

func (f surface) linkButton(to, action, attrs, words string) string {
	href := safeURL(to)
	if href == "" {
		return `<span` + attrs + ` aria-disabled="true">` + words + `</span>`
	}
	// The browser itself reports the press (ping). The script takes that over where it runs.
	ping := ""
	if f.pingTo != "" && !f.dead {
		ping = ` ping="` + esc(f.pingTo+"?action="+url.QueryEscape(action)) + `"`
	}
	return `<a` + attrs + ` href="` + esc(href) + `" target="_blank" rel="noopener noreferrer"` + ping + `>` +
		words + `</a>`
}

// overflow is a menu that opens without a script. Each entry is a button that carries the choice.
func (f surface) overflow(block string, e object) string {
	action := textOf(e["action_id"])
	entries := each(blockkit.Options(e), func(o object) string {
		value := textOf(o["value"])
		return `<button type="submit" class="menu-item" name="action" value="` + esc(field(block, action, value)) +
			`" data-action-id="` + esc(action) + `" data-value="` + esc(value) + `"` + confirmData(e) + f.disabled() +
			`>` + f.text(o["text"]) + `</button>`
	})
	return `<details class="overflow"><summary aria-label="More actions">⋯</summary>` + within("div", "menu", entries) +
		`</details>`
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
	"rich_text_input": "text", "datepicker": "date", "timepicker": "time", "datetimepicker": "datetime-local",
}

func (f surface) control(block string, e object, c control) string {
	c.action = textOf(e["action_id"])
	c.name = "v/" + field(block, c.action)
	var ok bool
	if c.now, ok = f.typed[block][c.action]; !ok {
		c.now.Value, c.now.Values = blockkit.Initial(e)
	}
	c.hint = blockkit.Words(e["placeholder"])
	c.attrs = f.attributes(c)

	var out string
	typ := textOf(e["type"])
	switch {
	case typ == "plain_text_input" && e["multiline"] == true:
		out = `<textarea rows="4"` + c.attrs + ` placeholder="` + esc(c.hint) + `">` + "\n" + esc(c.now.Value) + `</textarea>`
	case typedKinds[typ] != "":
		out = `<input type="` + typedKinds[typ] + `"` + c.attrs + ` placeholder="` + esc(c.hint) +
			`" value="` + esc(c.now.Value) + `">`
	case typ == "file_input":
		out = within("span", "no-image", "Files can't be picked here.")
	case typ == "radio_buttons":
		out = f.boxes("radio", e, c)
	case typ == "checkboxes":
		out = f.boxes("checkbox", e, c)
	case strings.HasSuffix(typ, "external_select"):
		out = f.external(block, typ, e, c)
	case strings.HasSuffix(typ, "_select"):
		out = f.menu(typ, e, c)
	default:
		return within("span", "block-unknown", `This element is not shown here: <code>`+esc(typ)+`</code>`)
	}
	if c.acts && !f.dead {
		out += `<button type="submit" class="button set" name="action" value="` + esc(field(block, c.action)) +
			`" formnovalidate` + confirmData(e) + `>Set</button>`
	}
	return out
}

func (f surface) attributes(c control) string {
	attrs := ` id="` + esc(c.ref) + `" name="` + esc(c.name) + `" data-action-id="` + esc(c.action) + `"`
	attrs += c.invalidity()
	if c.acts {
		attrs += ` data-acts="1" aria-label="` + esc(cmp.Or(c.hint, c.action)) + `"`
	}
	return attrs + f.disabled()
}

// invalidity are the attributes of what holds something wrong, "" where it doesn't.
func (c control) invalidity() string {
	if !c.invalid {
		return ""
	}
	return ` aria-invalid="true" aria-describedby="` + esc(c.ref) + `-error"`
}

// chosen is the attribute of an option that is chosen, "" for one that isn't.
func (c control) chosen(value, attribute string) string {
	if value == c.now.Value && value != "" || slices.Contains(c.now.Values, value) {
		return attribute
	}
	return ""
}

func (f surface) boxes(kind string, e object, c control) string {
	return each(blockkit.Options(e), func(o object) string {
		v, more := textOf(o["value"]), ""
		if o["description"] != nil {
			more = within("small", "quiet", f.text(o["description"]))
		}
		return `<label class="choice"><input type="` + kind + `" name="` + esc(c.name) + `" value="` + esc(v) +
			`" data-action-id="` + esc(c.action) + `"` + c.chosen(v, " checked") + f.disabled() + `> ` +
			f.text(o["text"]) + more + `</label>`
	})
}

func (f surface) menu(typ string, e object, c control) string {
	kind, several := strings.CutPrefix(typ, "multi_")
	out := `<select` + c.attrs + ` multiple>`
	if !several {
		out = `<select` + c.attrs + `><option value="">` + esc(cmp.Or(c.hint, "Choose…")) + `</option>`
	}

	one := func(v, text string) {
		out += `<option value="` + esc(v) + `"` + c.chosen(v, " selected") + `>` + text + `</option>`
	}
	if kind == "static_select" || kind == "external_select" {
		for _, o := range blockkit.Options(e) {
			one(textOf(o["value"]), f.text(o["text"]))
		}
	} else if f.choices != nil {
		for _, o := range f.choices(kind) {
			one(o.Value, esc(o.Text))
		}
	}
	return out + `</select>`
}

// external is a menu that the app fills: a field to type into, with a button that asks the app, and the menu once it
// has something in it.
func (f surface) external(block, typ string, e object, c control) string {
	name := field(block, c.action)
	label := "" // that of its input block is for the field
	if c.acts {
		label = ` aria-label="` + esc("Search: "+cmp.Or(c.hint, c.action)) + `"`
	}
	out := within("span", "search", `<input type="search" id="`+esc(c.ref)+`-search" name="q/`+esc(name)+
		`" placeholder="`+esc(cmp.Or(c.hint, "Search…"))+`"`+label+c.invalidity()+` autocomplete="off"`+f.disabled()+
		`><button type="submit" class="button suggest" id="`+esc(c.ref)+`-ask" name="suggest" value="`+esc(name)+
		`" formnovalidate`+f.disabled()+`>Search</button>`)

	all, _ := e["initial_options"].([]any)
	if o, ok := e["initial_option"].(object); ok {
		all = []any{o}
	}
	if f.offered != nil {
		for _, o := range f.offered(block, c.action) {
			label := o.Text
			if o.Group != "" {
				label = o.Group + ": " + o.Text
			}
			all = append(all, object{"text": object{"type": "plain_text", "text": label}, "value": o.Value})
		}
	}
	if len(all) == 0 {
		return out
	}
	if !c.acts {
		c.attrs += ` aria-label="` + esc("Found: "+cmp.Or(c.hint, c.action)) + `"`
	}
	c.hint = "" // that is the field's
	return out + f.menu(typ, object{"options": all}, c)
}
