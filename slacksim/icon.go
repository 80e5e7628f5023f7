package slacksim

// Pictures: a coloured square with an initial for every workspace, person and app. What the Web API names is PNG for
// workspaces, as from Slack, and SVG for all else.

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// icon serves /icon/T0ACME0001-68.svg and the like.
func (s *world) icon(w http.ResponseWriter, r *http.Request) {
	base, ok := strings.CutSuffix(r.PathValue("file"), ".svg")
	base, asPNG := strings.CutSuffix(base, ".png")
	i := strings.LastIndexByte(base, '-')
	if !ok && !asPNG || i < 0 {
		http.NotFound(w, r)
		return
	}
	id := base[:i]
	s.mu.Lock()
	name, isApp := s.nameLocked(id)
	fill := colour(id)
	if isApp {
		fill = cmp.Or(s.app.Color, fill)
	}
	s.mu.Unlock()
	size, err := strconv.Atoi(base[i+1:])
	if err != nil || size < 8 || size > 512 || name == "" {
		http.NotFound(w, r)
		return
	}

	if asPNG {
		w.Header().Set("Content-Type", "image/png")
		_ = writePNG(w, fill, name, size) // the reader may be gone
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 48 48">`+
		`<rect width="48" height="48" rx="9" fill="%s"/>`+
		`<text x="24" y="33" font-family="system-ui,sans-serif" font-size="26" font-weight="700" fill="#fff" `+
		`text-anchor="middle">%s</text></svg>`,
		size, size, html.EscapeString(fill), html.EscapeString(initialOf(name)))
}

func initialOf(name string) string {
	for _, r := range name {
		return strings.ToUpper(string(r))
	}
	return "?"
}

var colours = []string{"#7a3e9d", "#1264a3", "#0b6e4f", "#a8326e", "#8a5a00",
	"#b0413e", "#3b5b92", "#5b6236", "#6a4c93", "#00696f"}

// colour is one of a few that white text reads well on, always the same for the same id.
func colour(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return colours[h.Sum32()%uint32(len(colours))]
}

// writePNG draws a square of size pixels in a colour (#rrggbb) with the name's initial, where that is a letter.
func writePNG(w io.Writer, fill, name string, size int) error {
	rgb, _ := strconv.ParseUint(strings.TrimPrefix(fill, "#"), 16, 32)
	picture := image.NewRGBA(image.Rect(0, 0, size, size))
	square := image.NewUniform(color.RGBA{R: uint8(rgb >> 16), G: uint8(rgb >> 8), B: uint8(rgb), A: 0xff})
	draw.Draw(picture, picture.Bounds(), square, image.Point{}, draw.Src)
	dot := size / 12 // a letter is 5 by 7 dots, with some air around it
	left, top := (size-5*dot)/2, (size-7*dot)/2
	first := initialOf(name)
	if len(first) != 1 || first[0] < 'A' || first[0] > 'Z' {
		return png.Encode(w, picture)
	}
	for y, row := range glyphs[first[0]-'A'] {
		for x := range 5 {
			if row&(0x10>>x) != 0 {
				at := image.Rect(left+x*dot, top+y*dot, left+(x+1)*dot, top+(y+1)*dot)
				draw.Draw(picture, at, image.White, image.Point{}, draw.Src)
			}
		}
	}
	return png.Encode(w, picture)
}

// glyphs are 5 dots wide and 7 high, a row a byte.
var glyphs = [26][7]byte{
	{0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}, // A
	{0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e}, // B
	{0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e}, // C
	{0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e}, // D
	{0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f}, // E
	{0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10}, // F
	{0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0e}, // G
	{0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}, // H
	{0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e}, // I
	{0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c}, // J
	{0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}, // K
	{0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f}, // L
	{0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11}, // M
	{0x11, 0x19, 0x15, 0x13, 0x11, 0x11, 0x11}, // N
	{0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}, // O
	{0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10}, // P
	{0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d}, // Q
	{0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11}, // R
	{0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e}, // S
	{0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}, // T
	{0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}, // U
	{0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04}, // V
	{0x11, 0x11, 0x11, 0x15, 0x15, 0x15, 0x0a}, // W
	{0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11}, // X
	{0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04}, // Y
	{0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f}, // Z
}
