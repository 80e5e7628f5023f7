package bolt

// The file stores: a folder for each workspace, in one for all, in which the newest state of an installation lies
// beside older ones.

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install"
)

const (
	// Bytes of one installation's file, which has some 2 KB, and of one with a list of them.
	mostOfOne  = 1 << 20
	mostOfList = 256 << 20
	// mostProblems bounds what is told of a store in which nothing is right.
	mostProblems = 20
)

var (
	// ofStore are the names of files in a store, with the milliseconds that Bolt for JavaScript puts into those of older
	// states.
	ofStore = regexp.MustCompile(`^(?:(app|user)|bot|installer)-(?:.*-)?(?:latest|(\d{13})|[\d.]+)$`)
	// clientFolder is a client id, which can name the folder of an app's workspaces. Bolt for JavaScript's store leaves
	// out the slash between that and a workspace's id in some versions (@slack/oauth 4.0.0), and so it does behind the
	// name of the whole store.
	clientFolder = regexp.MustCompile(`^(\d+\.\d+)(T[A-Z0-9]+)?$`)
	joinedTeam   = regexp.MustCompile(`^T[A-Z0-9]+$`)
)

// readFiles reads a folder, or one file.
func readFiles(from string) ([]install.Installation, error) {
	info, err := os.Stat(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refused(fixPlace, "there is no file or folder %s", from)
	case err != nil:
		return nil, refused(fixPlace, "%s can't be read: %v", from, errors.Unwrap(err))
	case info.IsDir():
		return readFolder(from)
	}

	found, err := readFile(from, mostOfList)
	if err != nil {
		fix := fixContent
		if errors.Is(err, errSQLite) {
			fix = fixPlace
		}
		return nil, refused(fix, "%s %v", from, err)
	}
	for i := range found {
		found[i].From = filepath.Base(from) + comma(found[i].From)
	}
	return found, nil
}

func comma(more string) string {
	if more == "" {
		return ""
	}
	return ", " + more
}

// readFolder reads all of a store: the folder, and those beside it that are named by it and a workspace's id.
func readFolder(folder string) ([]install.Installation, error) {
	walk := folderWalk{root: folder}
	err := filepath.WalkDir(folder, walk.see)
	for _, beside := range joinedTo(folder) {
		err = errors.Join(err, filepath.WalkDir(beside, walk.see))
	}

	switch {
	case err != nil:
		return nil, refused(fixPlace, "%s can't be read: %v", folder, err)
	case len(walk.problems) > 0:
		return nil, &Error{Problems: walk.problems, Fix: fixContent}
	case len(walk.found) == 0:
		return nil, refused(fixPlace, "%s holds no installation that Bolt wrote", folder)
	}
	return walk.found, nil
}

// joinedTo are the folders of workspaces that lie beside their store.
func joinedTo(folder string) (beside []string) {
	whole, err := filepath.Abs(folder)
	if err != nil {
		return nil
	}
	parent, name := filepath.Split(whole)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil // then it is no place in which Bolt could write
	}
	for _, entry := range entries {
		if team, ok := strings.CutPrefix(entry.Name(), name); ok && entry.IsDir() && joinedTeam.MatchString(team) {
			beside = append(beside, filepath.Join(parent, entry.Name()))
		}
	}
	return beside
}

// folderWalk collects what is in a store. Other files in it are nobody's business.
type folderWalk struct {
	root     string
	found    []install.Installation
	problems []string
}

// see is fs.WalkDirFunc.
func (w *folderWalk) see(path string, entry fs.DirEntry, err error) error {
	name := filepath.Base(path)
	if err == nil && (entry.IsDir() || !ofStore.MatchString(name)) || len(w.problems) == mostProblems {
		return nil
	}

	shown := path
	if inside, bad := filepath.Rel(w.root, path); bad == nil {
		shown = filepath.ToSlash(inside)
	}
	var here []install.Installation
	if err == nil {
		here, err = readFile(path, mostOfOne)
	}
	if err == nil && len(here) != 1 {
		err = errors.New("is not an installation that Bolt wrote")
	}
	if err != nil {
		w.problems = append(w.problems, shown+" "+err.Error())
		return nil
	}

	if here[0].Bot.Token == "" && here[0].User.Token == "" && strings.HasPrefix(name, "user-") {
		return nil // of somebody who let the app do nothing for them
	}
	here[0].From = shown
	w.found = append(w.found, here[0])
	return nil
}

// readFile reads one file, and takes from its name and place what its content doesn't say.
func readFile(path string, most int64) ([]install.Installation, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", errors.Unwrap(err))
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > most) {
		return nil, fmt.Errorf("is no file of up to %d MB", most>>20)
	}
	content, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	found, err := parse(content)
	if err != nil {
		return nil, err
	}

	saved, client := info.ModTime().UTC().Truncate(time.Microsecond), clientOf(path)
	kind := ofStore.FindStringSubmatch(filepath.Base(path))
	if kind != nil && kind[2] != "" {
		millis, _ := strconv.ParseInt(kind[2], 10, 64) // 13 digits
		saved = time.UnixMilli(millis).UTC()
	}
	for i := range found {
		one := &found[i]
		one.ClientID = cmp.Or(one.ClientID, client)
		if one.SavedAt.IsZero() {
			one.SavedAt = saved
		}
		if kind != nil && kind[1] == "user" {
			one.Bot = install.Tokens{} // of that day; the newest is in the file beside it
		}
	}
	return found, nil
}

// clientOf is the client id that names the folder above a workspace's, or begins the name of that; "" for none.
func clientOf(path string) string {
	whole, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	workspace := filepath.Dir(whole)
	for _, name := range []string{filepath.Base(workspace), filepath.Base(filepath.Dir(workspace))} {
		if m := clientFolder.FindStringSubmatch(name); m != nil {
			return m[1]
		}
	}
	return ""
}
