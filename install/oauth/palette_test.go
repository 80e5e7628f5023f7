package oauth

import (
	"fmt"
	"image/color"
	"strings"
	"testing"
)

// Whatever colour an app has, all that is written in it or on it can be read, light and dark.
func TestEveryColorIsReadable(t *testing.T) {
	t.Parallel()
	const least = 4.5 // WCAG 2.2 AA
	for n := 0; n < 1<<24; n += 0x0f0f0f/3 + 7 {
		brand := brandColor(fmt.Sprintf("#%06x", n))
		if got := contrast(inkOn(brand), brand); got < least {
			t.Errorf("%s: the icon's letter has %.2f", hexOf(brand), got)
		}
		for _, g := range []ground{light, dark} {
			accent, tint := g.accent(brand), g.tint(brand)
			soft := color.RGBA{0x57, 0x55, 0x59, 0xff}
			if g == dark {
				soft = color.RGBA{0xb6, 0xb3, 0xb8, 0xff}
			}
			for what, pair := range map[string][2]color.RGBA{"a link on the page": {accent, g.page},
				"on a card": {accent, g.card}, "in the head": {accent, tint}, "the words of a button": {inkOn(accent), accent},
				"text in the head": {g.ink, tint}, "small print in the head": {soft, tint}} {
				if got := contrast(pair[0], pair[1]); got < least {
					t.Errorf("%s: %s has %.2f: %s on %s", hexOf(brand), what, got, hexOf(pair[0]), hexOf(pair[1]))
				}
			}
		}
	}

	// The style has the same grounds.
	for _, has := range []string{"--bg:#f7f7f8;--card:#fff;--ink:#1d1c1d;--soft:#575559",
		"--bg:#141517;--card:#1d1f22;--ink:#f2f0ed;--soft:#b6b3b8"} {
		if !strings.Contains(pageStyle, has) {
			t.Errorf("no %s in the style", has)
		}
	}
}

// What is no colour has the usual one, and nothing of it gets into the style.
func TestNoColor(t *testing.T) {
	t.Parallel()
	usual := colors("")
	for _, named := range []string{"red", "#fff", "#12345g", "#123456;}body{display:none"} {
		if got := colors(named); got != usual {
			t.Errorf("%q: %s", named, got)
		}
	}
	if got := colors("#7A3E9D"); !strings.Contains(got, "--brand:#7a3e9d") {
		t.Errorf("a colour: %s", got)
	}
}
