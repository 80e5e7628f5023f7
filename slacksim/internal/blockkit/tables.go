package blockkit

// Tables and charts: what no list of fields can say of them.
// docs.slack.dev/reference/block-kit/blocks/table-block, /data-table-block, /data-visualization-block

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// tableKind are the limits of a kind of table. Its characters count for one table and for all of a message.
type tableKind struct {
	name             string
	minRows, maxRows int
	characters       int
	even             bool // all rows have as many cells
	header           bool // the first row names the columns, without rich text
}

var (
	plainTable = tableKind{name: "table", minRows: 1, maxRows: 100, characters: 10_000}
	dataTable  = tableKind{name: "data_table", minRows: 2, maxRows: 201, characters: 20_000, even: true, header: true}
)

func tableRows(k tableKind) rule {
	return func(c *checker, p string, v any) {
		width, row := -1, 0
		listOf(k.minRows, k.maxRows, func(c *checker, p string, v any) {
			cells, _ := v.([]any)
			if width < 0 {
				width = len(cells)
			}
			if k.even && len(cells) != width {
				c.bad(p, "must have as many cells as the first row")
			}
			listOf(1, 20, func(c *checker, p string, v any) { c.cell(p, v, k, row == 0) })(c, p, v)
			row++
		})(c, p, v)
	}
}

// cell checks one cell of a table.
func (c *checker) cell(p string, v any, k tableKind, first bool) {
	o, ok := c.object(p, v)
	if !ok {
		return
	}
	s := shape{must: rules{"text": str(1, k.characters)}}
	switch typ := Text(o["type"]); {
	case typ == "raw_text":
	case typ == "raw_number":
		s = shape{must: rules{"value": realNumber}, may: rules{"text": str(1, k.characters)}}
	case typ == "rich_text" && !(k.header && first):
		s = c.kit.blocks["rich_text"]
	case typ == "action_cell" && k.header && !first:
		s = shape{must: rules{"element": elements("actions")}, may: rules{"fallback": anything}}
	default:
		c.bad(p+"/type", "unsupported type: %s", typ)
		return
	}
	c.shape(p, o, s, "block_id")
	c.sum(p, k.name, characters(o), k.characters, "no more than %d characters in all tables together")
}

// characters counts the text of a cell, wherever in it.
func characters(v any) (n int) {
	switch v := v.(type) {
	case Object:
		t, _ := v["text"].(string)
		n = utf8.RuneCountInString(t)
		n += characters(v["elements"])
	case []any:
		for _, x := range v {
			n += characters(x)
		}
	}
	return n
}

func realNumber(c *checker, p string, v any) {
	if _, ok := v.(json.Number); !ok {
		c.bad(p, "must be a number")
	}
}

func positive(c *checker, p string, v any) {
	n, _ := v.(json.Number)
	if f, err := n.Float64(); err != nil || f <= 0 {
		c.bad(p, "must be greater than 0")
	}
}

// twoCharts are all that a message takes.
func twoCharts(c *checker, p string, _ Object) {
	c.sum(p, "data_visualization", 1, 2, "no more than %d data_visualization blocks allowed")
}

var (
	chartLabel = str(1, 20)

	pieShape = shape{must: rules{"segments": listOf(1, 12, object(shape{
		must: rules{"label": chartLabel, "value": positive}}))}}

	seriesShape = shape{must: rules{
		"series": listOf(1, 12, object(shape{must: rules{"name": chartLabel,
			"data": listOf(1, 20, object(shape{must: rules{"label": chartLabel, "value": realNumber}}))}})),
		"axis_config": object(shape{must: rules{"categories": listOf(1, 20, chartLabel)},
			may: rules{"x_label": str(0, 50), "y_label": str(0, 50)}}),
	}, also: evenSeries}
)

func chart(c *checker, p string, v any) {
	o, ok := c.object(p, v)
	if !ok {
		return
	}
	switch typ := Text(o["type"]); typ {
	case "pie":
		c.shape(p, o, pieShape, "")
	case "bar", "area", "line":
		c.shape(p, o, seriesShape, "")
	default:
		c.bad(p+"/type", "must be a valid enum value: pie, bar, area, line")
	}
}

// evenSeries: names differ, and each series has one point for every category.
func evenSeries(c *checker, p string, o Object) {
	axis, _ := o["axis_config"].(Object)
	var categories []string
	all, _ := axis["categories"].([]any)
	for _, x := range all {
		categories = append(categories, Text(x))
	}
	slices.Sort(categories)

	names := map[string]bool{}
	for i, s := range Objects(o["series"]) {
		q := fmt.Sprintf("%s/series/%d", p, i)
		if names[Text(s["name"])] {
			c.bad(q+"/name", "must be unique")
		}
		names[Text(s["name"])] = true
		var labels []string
		for _, d := range Objects(s["data"]) {
			labels = append(labels, Text(d["label"]))
		}
		if slices.Sort(labels); !slices.Equal(labels, categories) {
			c.bad(q+"/data", "must have exactly one entry for each category")
		}
	}
}
