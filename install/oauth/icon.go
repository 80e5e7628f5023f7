package oauth

// The app's icon: what stands on the pages, in the browser's tab, and beside the link that somebody shares. It is drawn
// from the app's initial and its colour.

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"html/template"
	"image"
	"image/draw"
	"image/png"
	"net/http"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

const (
	iconPath = "/slack/icon.png"
	iconSize = 512 // pixels: Slack shows previews of links on screens of any kind
)

// drawIcon is the icon for browsers, which have letters of every script.
func drawIcon(name, named string) template.URL {
	brand := brandColor(named)
	svg := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="15" `+
		`fill="%s"/><text x="32" y="45" font-family="system-ui,-apple-system,Segoe UI,Roboto,sans-serif" font-size="36" `+
		`font-weight="700" text-anchor="middle" fill="%s">%s</text></svg>`,
		hexOf(brand), hexOf(inkOn(brand)), html.EscapeString(initial(name)))
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(svg)))
}

// drawPNG is the icon for those who show previews of links, and take no SVG. A letter that the font hasn't is left out.
func drawPNG(name, named string) ([]byte, error) {
	brand := brandColor(named)
	canvas := image.NewRGBA(image.Rect(0, 0, iconSize, iconSize))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(brand), image.Point{}, draw.Src)

	parsed, err := opentype.Parse(gobold.TTF)
	if err != nil {
		return nil, fmt.Errorf("draw icon: %w", err)
	}
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: iconSize * 9 / 16, DPI: 72})
	if err != nil {
		return nil, fmt.Errorf("draw icon: %w", err)
	}

	letter := []rune(initial(name))[0]
	if at, advance, ok := face.GlyphBounds(letter); ok && advance > 0 {
		middle := fixed.I(iconSize / 2)
		pen := font.Drawer{Dst: canvas, Src: image.NewUniform(inkOn(brand)), Face: face, Dot: fixed.Point26_6{
			X: middle - (at.Min.X+at.Max.X)/2, Y: middle - (at.Min.Y+at.Max.Y)/2,
		}}
		pen.DrawString(string(letter))
	}

	var b bytes.Buffer
	if err := png.Encode(&b, canvas); err != nil {
		return nil, fmt.Errorf("draw icon: %w", err)
	}
	return b.Bytes(), nil
}

// serveIcon answers GET /slack/icon.png. It is the one answer that may be kept.
func (ps *pages) serveIcon(w http.ResponseWriter, _ *http.Request) {
	ps.guard(w)
	icon, err := ps.look.png()
	if err != nil {
		ps.Log.Error("icon", "cause", err)
		http.Error(w, ps.say("pages.page.broken"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(icon) // the visitor may be gone
}
