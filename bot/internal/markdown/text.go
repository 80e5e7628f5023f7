package markdown

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// Text is src without its marks, in one paragraph of at most most characters: what a notification and a screen reader
// say in place of the blocks. It has whole words; "…" stands for what it leaves out. task says an item of a task list.
func Text(src string, most int, task func(done bool, item string) string) string {
	source := []byte(src)
	w := words{source: source, task: task}
	_ = ast.Walk(parser.Parse(text.NewReader(source)), w.visit) // visit never fails
	said := strings.Join(strings.Fields(w.said.String()), " ")

	if utf8.RuneCountInString(said) <= most {
		return said
	}
	part, _ := cutLine(said, most-1)
	return part + "…"
}

// words collects what a text says.
type words struct {
	source []byte
	said   bytes.Buffer

	task func(done bool, item string) string
	box  *east.TaskCheckBox // of the item that is being read; nil: none
	from int                // where it began
}

func (w *words) visit(n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		if n.Type() == ast.TypeBlock {
			w.end(n)
		}
		return ast.WalkContinue, nil
	}

	switch n := n.(type) {
	case *ast.Text:
		w.said.WriteString(w.text(n))
	case *ast.String:
		w.said.Write(n.Value)
	case *ast.AutoLink:
		w.said.Write(n.Label(w.source))
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		for i := range n.Lines().Len() {
			line := n.Lines().At(i)
			w.said.Write(line.Value(w.source))
		}
	case *ast.RawHTML, *ast.HTMLBlock:
		return ast.WalkSkipChildren, nil
	case *east.TaskCheckBox:
		w.box, w.from = n, w.said.Len()
	}
	return ast.WalkContinue, nil
}

// end parts a block from what follows, with a full stop where the block has none: it is read aloud in one breath
// otherwise.
func (w *words) end(n ast.Node) {
	said := bytes.TrimRight(w.said.Bytes(), " \n")
	if len(said) == 0 {
		return
	}

	if box := w.box; box != nil && len(said) > w.from {
		item := w.task(box.IsChecked, strings.TrimSpace(string(said[w.from:])))
		w.box = nil
		w.said.Truncate(w.from)
		w.said.WriteString(item)
		said = w.said.Bytes()
	}

	mark := ". "
	switch n.Kind() {
	case east.KindTableCell:
		mark = ", "
	case east.KindTableRow, east.KindTableHeader:
		said = bytes.TrimRight(said, ",")
	}
	if last, _ := utf8.DecodeLastRune(said); strings.ContainsRune(".,:;!?…。！？", last) {
		mark = " "
	}
	w.said.Truncate(len(said))
	w.said.WriteString(mark)
}
