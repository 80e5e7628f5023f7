package cli

// The README's recording: the app is installed, does what it is for, and says whether it works, in the demo and in a
// real browser. RECORDING=file keeps it. Without that it is made anyway, so that the command which makes it works.

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const (
	recordingWidth, recordingHeight = 920, 600

	// A README that takes longer to show than to read shows nobody anything.
	recordingBytes = 1_000_000
)

// recorder takes pictures of a tab, with a pointer in them where the newcomer's would be.
type recorder struct {
	*tab
	pointer image.Point
	frames  []*image.NRGBA
	delays  []int // hundredths of a second, one for each frame
}

func TestRecording(t *testing.T) {
	storagetest.Long(t)
	slack := walkDemo(t)
	hire(t, slack)
	r := &recorder{tab: newTab(t), pointer: image.Pt(600, 420)}
	r.resize(recordingWidth, recordingHeight)

	// Dana adds the app.
	r.be(slack, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	r.click("#app-page")
	r.press("#add-to-slack")
	r.title("Add Switchboard to Slack")
	r.loaded()
	r.hold(1600 * time.Millisecond)
	r.point("#add-to-slack")
	r.press("#add-to-slack")
	r.reads("h1", "asking for permission")
	r.loaded()
	r.hold(700 * time.Millisecond)
	r.point("#allow")
	r.press("#allow")
	r.title("Connected: Switchboard is in Acme Corp")
	r.loaded()
	r.hold(1800 * time.Millisecond)

	// She starts a poll, and votes. So do others, and everybody sees the result grow.
	invite(t, slack)
	r.open(slack.URL() + "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral)
	r.write(`/poll "Lunch on Friday?" Ramen, Pizza, Salad`)
	r.reads("#messages .from-app:last-child", "Lunch on Friday?", "Salad")
	r.hold(900 * time.Millisecond)
	r.point(`#messages [data-action-id="poll.vote.0"]`)
	r.press(`#messages [data-action-id="poll.vote.0"]`)
	r.reads("#messages .from-app:last-child", "1 person voted")
	r.hold(600 * time.Millisecond)
	votes := []int{0, 1, 0, 2}
	for i, u := range colleagues {
		voteFor(t, slack, u.ID, votes[i])
		r.reads("#messages .from-app:last-child", fmt.Sprintf("%d people voted", i+2))
		r.hold(500 * time.Millisecond)
	}
	r.hold(1500 * time.Millisecond)

	// She asks whether it works.
	r.write("/connection status")
	r.reads("#messages .ephemeral:last-child", "Working", "Checked with Slack just now")
	r.hold(4 * time.Second)
	r.clean()

	recording := r.encode()
	t.Logf("%d frames, %d bytes", len(r.frames), len(recording))
	if len(r.frames) < 20 || len(recording) > recordingBytes {
		t.Errorf("the recording has %d frames and %d bytes", len(r.frames), len(recording))
	}
	if name := os.Getenv("RECORDING"); name != "" {
		if err := os.WriteFile(name, recording, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// resize makes the page as large as the pictures are.
func (r *recorder) resize(width, height int64) {
	r.t.Helper()
	r.do("resize", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1})
		return err
	}))
}

// hold shows the page as it is now for a while.
func (r *recorder) hold(d time.Duration) {
	r.t.Helper()
	r.show(r.look(), d)
}

// look is the page without the pointer.
func (r *recorder) look() image.Image {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		r.fail("look", err)
	}
	seen, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		r.t.Fatal(err)
	}
	return seen
}

// show adds a frame.
func (r *recorder) show(page image.Image, d time.Duration) {
	frame := image.NewNRGBA(image.Rect(0, 0, recordingWidth, recordingHeight))
	draw.Draw(frame, frame.Rect, page, page.Bounds().Min, draw.Src)
	drawPointer(frame, r.pointer)
	r.frames = append(r.frames, frame)
	r.delays = append(r.delays, int(d/(10*time.Millisecond)))
}

// point moves the pointer to the middle of an element, as a hand does: slowly at both ends.
func (r *recorder) point(selector string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	place, err := chromedp.Run(ctx, chromedp.Evaluate[[]float64](fmt.Sprintf(`(e => {
		e.scrollIntoView({block: "nearest"})
		const box = e.getBoundingClientRect()
		return [box.x + box.width / 2, box.y + box.height / 2]
	})(document.querySelector(%q))`, selector)))
	if err != nil || len(place) != 2 {
		r.fail("point at "+selector, err)
	}

	const steps = 7
	from, page := r.pointer, r.look()
	for i := 1; i <= steps; i++ {
		part := (1 - math.Cos(math.Pi*float64(i)/steps)) / 2
		r.pointer = image.Pt(from.X+int(part*(place[0]-float64(from.X))), from.Y+int(part*(place[1]-float64(from.Y))))
		r.show(page, 50*time.Millisecond)
	}
	r.delays[len(r.delays)-1] = 30
}

// write types a message, in pieces, and sends it.
func (r *recorder) write(text string) {
	r.t.Helper()
	const box = chromedp.CSS(`#composer textarea[name=text]`)
	r.do("find the composer", chromedp.WaitVisible(box))
	r.loaded()
	for piece := range slices.Chunk([]rune(text), 3) {
		r.do("type "+string(piece), chromedp.SendKeys(box, string(piece)))
		r.hold(90 * time.Millisecond)
	}
	r.delays[len(r.delays)-1] = 50
	r.ask("send", `(form => { form.requestSubmit(); return true })(document.querySelector("#composer"))`)
}

// pointerShape is an arrow: X is its rim, o is its inside.
const pointerShape = `
X
XX
XoX
XooX
XoooX
XooooX
XoooooX
XooooooX
XoooooooX
XooooooooX
XoooooooooX
XooooooXXXXX
XoooXooX
XooXXooX
XoX  XooX
XX   XooX
X     XooX
      XooX
       XX`

func drawPointer(on *image.NRGBA, at image.Point) {
	for y, line := range strings.Split(strings.TrimPrefix(pointerShape, "\n"), "\n") {
		for x, mark := range line {
			switch mark {
			case 'X':
				on.Set(at.X+x, at.Y+y, color.Black)
			case 'o':
				on.Set(at.X+x, at.Y+y, color.White)
			}
		}
	}
}

// encode makes a GIF of the frames. Each holds only what changed since the one before, in colours of its own.
func (r *recorder) encode() []byte {
	r.t.Helper()
	g := gif.GIF{Config: image.Config{Width: recordingWidth, Height: recordingHeight}}
	var before *image.NRGBA
	for i, frame := range r.frames {
		changed := changedPart(before, frame)
		if changed.Empty() { // shown for longer is what it is
			g.Delay[len(g.Delay)-1] += r.delays[i]
			continue
		}
		g.Image = append(g.Image, reduced(before, frame, changed))
		g.Delay = append(g.Delay, r.delays[i])
		g.Disposal = append(g.Disposal, gif.DisposalNone)
		before = frame
	}

	var out bytes.Buffer
	if err := gif.EncodeAll(&out, &g); err != nil {
		r.t.Fatal(err)
	}
	return out.Bytes()
}

// changedPart is the smallest rectangle around all that differs.
func changedPart(before, after *image.NRGBA) (part image.Rectangle) {
	if before == nil {
		return after.Rect
	}
	for y := range recordingHeight {
		for x := range recordingWidth {
			if before.NRGBAAt(x, y) != after.NRGBAAt(x, y) {
				part = part.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return part
}

// reduced is a part of a frame with at most 256 colours, of which the first is what stays as it was.
func reduced(before, frame *image.NRGBA, part image.Rectangle) *image.Paletted {
	same := func(x, y int) bool { return before != nil && before.NRGBAAt(x, y) == frame.NRGBAAt(x, y) }
	count := map[color.NRGBA]int{}
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if !same(x, y) {
				count[frame.NRGBAAt(x, y)]++
			}
		}
	}

	palette, index := paletteOf(count)
	out := image.NewPaletted(part, palette)
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if !same(x, y) {
				out.SetColorIndex(x, y, index[frame.NRGBAAt(x, y)])
			}
		}
	}
	return out
}

// paletteOf chooses from the most frequent colours those that are far enough from each other, and says which of them
// stands for each.
func paletteOf(count map[color.NRGBA]int) (chosen color.Palette, index map[color.NRGBA]uint8) {
	colors := slices.SortedFunc(maps.Keys(count), func(a, b color.NRGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	for apart := 0; ; apart += 3 {
		chosen, index = color.Palette{color.Transparent}, map[color.NRGBA]uint8{}
		for _, c := range colors {
			nearest, distance := 0, math.MaxInt
			for i, have := range chosen[1:] {
				if d := distanceOf(c, have.(color.NRGBA)); d < distance {
					nearest, distance = i+1, d
				}
			}
			if distance > apart*apart {
				chosen = append(chosen, c)
				nearest = len(chosen) - 1
			}
			if len(chosen) > 256 {
				break
			}
			index[c] = uint8(nearest)
		}
		if len(chosen) <= 256 {
			return chosen, index
		}
	}
}

func distanceOf(a, b color.NRGBA) int {
	dr, dg, db := int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B)
	return dr*dr + dg*dg + db*db
}
