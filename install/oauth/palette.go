package oauth

// The app's colour, as the pages use it: as it is behind the app's icon, and darker or lighter wherever something is
// read in it, because whoever chose it thought of an icon and not of text.

import (
	"fmt"
	"image/color"
	"math"
	"regexp"
	"strconv"
)

// usualColor is for an app that names none.
const usualColor = "#41506b"

// readable is how much text has to stand out from what is behind it: WCAG 2.2 AA, with some to spare for rounding.
const readable = 4.6

// ground is what the pages stand on, in the light or in the dark. style.css has the same colours.
type ground struct {
	page, card, ink color.RGBA
	tinted          float64 // how much of the app's colour is in the head of the landing page
}

var (
	white, black = color.RGBA{0xff, 0xff, 0xff, 0xff}, color.RGBA{0, 0, 0, 0xff}

	light = ground{page: color.RGBA{0xf7, 0xf7, 0xf8, 0xff}, card: white,
		ink: color.RGBA{0x1d, 0x1c, 0x1d, 0xff}, tinted: .09}
	dark = ground{page: color.RGBA{0x14, 0x15, 0x17, 0xff}, card: color.RGBA{0x1d, 0x1f, 0x22, 0xff},
		ink: color.RGBA{0xf2, 0xf0, 0xed, 0xff}, tinted: .16}
)

var hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// brandColor is the colour of an app.
func brandColor(named string) color.RGBA {
	if !hexColor.MatchString(named) {
		named = usualColor
	}
	n, _ := strconv.ParseUint(named[1:], 16, 32)
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 0xff}
}

func hexOf(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// brightness is the relative luminance of c, from 0 to 1. https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
func brightness(c color.RGBA) float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// contrast is how much two colours stand out from each other, from 1 to 21.
func contrast(a, b color.RGBA) float64 {
	x, y := brightness(a), brightness(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// mixed is c with a part of another colour in it.
func mixed(c, other color.RGBA, part float64) color.RGBA {
	of := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*(1-part) + float64(y)*part)) }
	return color.RGBA{of(c.R, other.R), of(c.G, other.G), of(c.B, other.B), 0xff}
}

// inkOn is black or white, whichever is better read on c. One of them always is good enough.
func inkOn(c color.RGBA) color.RGBA {
	if contrast(white, c) >= readable {
		return white
	}
	if contrast(black, c) > contrast(white, c) {
		return black
	}
	return white
}

// tint is the ground of the landing page's head.
func (g ground) tint(brand color.RGBA) color.RGBA { return mixed(g.card, brand, g.tinted) }

// accent is brand, as far from the ground as it takes to be read on everything that it stands on: in the dark brighter
// first, which keeps its hue, and then paler.
func (g ground) accent(brand color.RGBA) color.RGBA {
	way := []color.RGBA{brand, black}
	if brightness(g.page) < brightness(g.ink) {
		way = []color.RGBA{brand, brightened(brand), white}
	}

	on := []color.RGBA{g.page, g.card, g.tint(brand)}
	for i := range way[1:] {
		for part := 0.0; part < 1; part += 0.04 {
			c, least := mixed(way[i], way[i+1], part), math.Inf(1)
			for _, behind := range on {
				least = min(least, contrast(c, behind))
			}
			if least >= readable {
				return c
			}
		}
	}
	return g.ink
}

// brightened is c as bright as its hue can be.
func brightened(c color.RGBA) color.RGBA {
	most := max(c.R, c.G, c.B)
	if most == 0 {
		return white
	}
	of := func(v uint8) uint8 { return uint8(int(v) * 255 / int(most)) }
	return color.RGBA{of(c.R), of(c.G), of(c.B), 0xff}
}

// colors are the style's variables that follow from an app's colour.
func colors(named string) string {
	brand := brandColor(named)
	in := func(g ground) string {
		accent := g.accent(brand)
		return fmt.Sprintf("--go:%s;--goink:%s;--tint:%s", hexOf(accent), hexOf(inkOn(accent)), hexOf(g.tint(brand)))
	}
	return fmt.Sprintf(":root{--brand:%s;--brandink:%s;%s}\n@media(prefers-color-scheme:dark){:root{%s}}\n",
		hexOf(brand), hexOf(inkOn(brand)), in(light), in(dark))
}
