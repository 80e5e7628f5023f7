package cli

// Whether people can use a page who don't see it, don't use a mouse, have a small screen or a dark one. axe-core knows
// the rules (WCAG 2.2 AA and what is good besides); it is fetched once, checked against its hash, and kept outside of
// the repository. https://github.com/dequelabs/axe-core

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A newer version: npm pack axe-core@VERSION, sha256sum of the file.
const (
	axePackage = "axe-core-4.10.3.tgz"
	axeHash    = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
)

// axeScript is axe.min.js, from the cache or else from the registry.
var axeScript = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "switchboard-tests")
	file := filepath.Join(cache, axePackage)
	packed, err := os.ReadFile(file)
	if err != nil || !isAxe(packed) {
		if packed, err = fetchAxe(cache); err != nil {
			return "", err
		}
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	for files := tar.NewReader(unzipped); ; {
		f, err := files.Next()
		if err != nil {
			return "", fmt.Errorf("look for axe.min.js in %s: %w", axePackage, err)
		}
		if f.Name == "package/axe.min.js" {
			script, err := io.ReadAll(files)
			return string(script), err
		}
	}
})

func isAxe(packed []byte) bool {
	sum := sha256.Sum256(packed)
	return hex.EncodeToString(sum[:]) == axeHash
}

// fetchAxe has npm fetch the package. Several tests may do that at once, so it is moved to its place whole.
func fetchAxe(cache string) ([]byte, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	name := strings.Replace(strings.TrimSuffix(axePackage, ".tgz"), "core-", "core@", 1)
	if said, err := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", folder, name).
		CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w %s", name, err, said)
	}
	packed, err := os.ReadFile(filepath.Join(folder, axePackage))
	if err != nil {
		return nil, err
	}
	if !isAxe(packed) {
		return nil, errors.New(axePackage + " is not the one whose hash is written down")
	}
	return packed, os.Rename(filepath.Join(folder, axePackage), filepath.Join(cache, axePackage))
}

// axe fails the test for each rule that the page breaks as it is now. Without npm and outside of CI the test is
// skipped.
func (b *tab) axe(what string) {
	b.t.Helper()
	script, err := axeScript()
	if err != nil {
		if os.Getenv("CI") != "" {
			b.t.Fatal(err)
		}
		b.t.Skip("no axe-core to test with; npm on the PATH fetches it: ", err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	type violation struct{ ID, Help, Where, Why string }
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]violation](script+`;
		axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v => v.nodes.map(n => ({
			ID: v.id, Help: v.help, Where: n.html, Why: n.failureSummary}))))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fail("axe: "+what, err)
	}
	for _, v := range found {
		b.t.Errorf("%s: %s (%s): %s\n%s", what, v.Help, v.ID, v.Where, v.Why)
	}
}

// scheme makes the browser one that likes dark pages, or light ones.
func (b *tab) scheme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
	if err != nil {
		b.fail("prefer "+name, err)
	}
}

// narrow makes the window as narrow as a page has to fit into: 320 px, which is also 1280 px at four times the size.
func (b *tab) narrow() { b.do("narrow window", chromedp.EmulateViewport(320, 640)) }
func (b *tab) wide()   { b.do("wide window", chromedp.EmulateViewport(1160, 800)) }

// fits fails the test when the page has to be moved sideways.
func (b *tab) fits(what string) {
	b.t.Helper()
	b.is(what+": fits the window", `document.documentElement.scrollWidth <= innerWidth`)
}

// controls are what a keyboard has to reach. Of radio buttons with one name Tab reaches the one that is chosen, and
// arrows the others.
const controls = `[...document.querySelectorAll('a[href],button,input,select,textarea,summary')].filter(e => e.type !== "hidden" && !e.disabled && !e.ariaHidden && e.checkVisibility() && !e.closest("[inert]")
	&& !(e.type === "radio" && !e.checked && document.querySelector('input[type=radio][name="' + e.name + '"]:checked')))`

// byKeyboard goes through the page with the Tab key alone and fails the test for each control that it does not come to,
// or comes to unseen. It opens what can be opened, with Enter.
func (b *tab) byKeyboard(what string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	ask := func(script string) int {
		b.t.Helper()
		n, err := chromedp.Run(ctx, chromedp.Evaluate[int](script))
		if err != nil {
			b.fail("by keyboard: "+what, err)
		}
		return n
	}
	press := func(key string) {
		b.t.Helper()
		if err := chromedp.Do(ctx, chromedp.KeyEvent(key)); err != nil {
			b.fail("by keyboard: "+what, err)
		}
	}
	ask(`window.reached = new Set(), 0`)
	// Opening brings more controls, so their number is asked for anew each time. The round begins anywhere.
	for range 200 {
		if ask(controls+`.filter(e => !reached.has(e)).length`) == 0 {
			return
		}
		press(kb.Tab)
		switch ask(`(e => {
			if (!e || e === document.body || e === document.documentElement) return 0;
			const first = !reached.has(e), s = getComputedStyle(e);
			reached.add(e);
			if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2) return 2;
			return first && e.tagName === "SUMMARY" && !e.parentElement.open ? 1 : 0;
		})(document.activeElement)`) {
		case 1:
			press(kb.Enter)
		case 2:
			at, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.outerHTML`))
			b.t.Errorf("%s: the focus isn't seen on %s", what, at)
			return
		}
	}
	left, _ := chromedp.Run(ctx, chromedp.Evaluate[string](controls+
		`.filter(e => !reached.has(e)).map(e => e.outerHTML).join("\n")`))
	b.t.Errorf("%s: the Tab key does not come to\n%s", what, left)
}

// whole is picture for all of a page, beyond the window.
func (b *tab) whole(name string) {
	b.t.Helper()
	if b.pictures == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = errors.Join(os.MkdirAll(b.pictures, 0o755), os.WriteFile(filepath.Join(b.pictures, name+".png"), png, 0o644))
	}
	if err != nil {
		b.t.Errorf("picture %s: %v", name, err)
	}
}

// usable checks the page that is open for everybody: light and dark, wide and narrow, without eyes and without a mouse.
func (b *tab) usable(what string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.axe(what + ", " + scheme)
		b.whole(what + "-" + scheme)
	}
	b.byKeyboard(what)
	b.axe(what + ", opened")
	b.narrow()
	b.fits(what)
	b.axe(what + ", narrow")
	b.whole(what + "-narrow")
	b.scheme("light")
	b.wide()
}
