package cli

// A new app, from a few templates.

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"text/template"
	"unicode"
)

//go:embed new/*.tmpl
var newFiles embed.FS

type newCmd struct {
	Folder string `arg:"" help:"The folder to make. Its name is the app's."`
	Module string `help:"The app's module path, such as github.com/you/mybot. Default: example.com/ and the folder's name."`
}

// newApp is what the templates are filled with.
type newApp struct {
	Program, Command string // mybot
	Name             string // My bot
	Module           string
	Go               string // 1.26.0
	Library, Version string // of this module
	Replace          string // its checkout, as the new folder sees it; "": Library is fetched at Version
	Requires         string // what Library requires, where it is a checkout
}

var (
	folderName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	modulePath = regexp.MustCompile(`^[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*$`)
	goRelease  = regexp.MustCompile(`go(\d+\.\d+(?:\.\d+|(?:rc|beta)\d+)?)`)
	plainPath  = regexp.MustCompile(`^[A-Za-z0-9._~+@/-]+$`)
)

// Run makes a folder with an app, its tests and what it takes to run it.
func (c *newCmd) Run(env *environment) error {
	base := filepath.Base(filepath.Clean(c.Folder))
	if !folderName.MatchString(base) {
		return badUsage("the folder %q names the app, so use lower-case letters, digits and -, at most 31 characters", base)
	}
	if c.Module != "" && !modulePath.MatchString(c.Module) {
		return badUsage("--module %q isn't a module path; use one such as github.com/you/%s", c.Module, base)
	}
	if err := vacant(c.Folder); err != nil {
		return err
	}
	if c.Module == "" {
		c.Module = "example.com/" + base
	}

	app := newApp{
		Program: base, Command: base, Name: titled(base), Module: c.Module,
		Go: goVersion(), Library: path.Dir(path.Dir(reflect.TypeFor[App]().PkgPath())),
	}
	sums, err := app.find(c.Folder)
	if err != nil {
		return err
	}
	if err := app.write(c.Folder, sums); err != nil {
		return err
	}
	if app.Replace == "" {
		if err := tidy(env, c.Folder); err != nil {
			return err
		}
	}

	_, err = fmt.Fprintf(env.stdout, "%s is ready. Try:\n\n  cd %s\n  go test ./...\n  go run . demo\n", app.Name,
		c.Folder)
	return err
}

// goVersion is the release of Go that this program was built with.
func goVersion() string { return releaseOf(runtime.Version()) }

// releaseOf is a release as go.mod and images name it. What a toolchain says of itself can end in its experiments, and
// begin with devel.
func releaseOf(toolchain string) string {
	found := goRelease.FindStringSubmatch(toolchain)
	if found == nil {
		return toolchain
	}
	return found[1]
}

// titled makes a name of a folder's: my-bot is My bot.
func titled(folder string) string {
	words := []rune(strings.ReplaceAll(folder, "-", " "))
	words[0] = unicode.ToUpper(words[0])
	return string(words)
}

// find learns where the library is: in a checkout that the working folder is in, or else at the version that this
// program was built with. sums are the checkout's.
func (a *newApp) find(folder string) (sums []byte, err error) {
	checkout, err := a.checkout()
	if err != nil {
		return nil, err
	}
	if checkout == "" {
		if a.Version = libraryVersion(a.Library); a.Version == "" {
			return nil, fmt.Errorf("this program was built from a checkout of %s, which has no version that an app could "+
				"require: run the command in that checkout. Nothing was written", a.Library)
		}
		return nil, nil
	}

	mod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil {
		return nil, err
	}
	if sums, err = os.ReadFile(filepath.Join(checkout, "go.sum")); err != nil {
		return nil, err
	}
	target, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if a.Replace, err = filepath.Rel(target, checkout); err != nil {
		return nil, err
	}

	a.Replace, a.Version = filepath.ToSlash(a.Replace), "v0.0.0"
	if !plainPath.MatchString(a.Replace) {
		a.Replace = strconv.Quote(a.Replace) // a space would end it
	}
	if _, requires, found := strings.Cut(string(mod), "\nrequire"); found {
		a.Requires = "\nrequire" + strings.TrimRight(requires, "\n")
	}
	return sums, nil
}

// checkout is the folder of the library that the working folder is in, "" for none.
func (a *newApp) checkout() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module "+a.Library+"\n")) {
			return folder, nil
		}
		above := filepath.Dir(folder)
		if above == folder {
			return "", nil
		}
		folder = above
	}
}

// libraryVersion is the published version of the library that this program was built with, "" if it was built from a
// checkout.
func libraryVersion(library string) string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(b.Deps, &b.Main) {
		if m.Path == library && m.Replace == nil && strings.HasPrefix(m.Version, "v") {
			return m.Version
		}
	}
	return ""
}

// vacant is the error of a folder that can't take a new app, nil for one that is empty or isn't there.
func vacant(folder string) error {
	switch there, err := os.ReadDir(folder); {
	case err == nil && len(there) > 0:
		return fmt.Errorf("%s is not empty, so nothing was written there: name a new folder", folder)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("make %s: %w", folder, err)
	}
	return nil
}

// write makes the folder and its files.
func (a *newApp) write(folder string, sums []byte) error {
	all, err := template.ParseFS(newFiles, "new/*.tmpl")
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, t := range all.Templates() {
		var text bytes.Buffer
		if err := t.Execute(&text, a); err != nil {
			return err
		}
		name := strings.TrimSuffix(t.Name(), ".tmpl")
		if strings.HasSuffix(name, "ignore") {
			name = "." + name
		}
		files[name] = text.Bytes()
	}
	if len(sums) > 0 {
		files["go.sum"] = sums
	}

	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tidy has Go fetch what the app requires.
func tidy(env *environment, folder string) error {
	cmd := exec.CommandContext(env.ctx, "go", "mod", "tidy")
	cmd.Dir, cmd.Stderr = folder, env.stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go mod tidy in %s: %w. The files are there: run that again in the folder", folder, err)
	}
	return nil
}
