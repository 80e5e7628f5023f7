package doctor

// Check 10: public routes that must not be public, disk, permissions of files, names that nobody knows.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/internal/server"
)

const (
	// publicBudget is how long PUBLIC_URL has for an answer.
	publicBudget = 3 * time.Second
	// Bytes that are left on a disk before somebody should look, and before it is too late.
	littleSpace = 1 << 30
	noSpace     = 100 << 20
	// Files that fit beside the others; a database in use makes a few.
	fewFiles = 1000
)

// exposure looks at what this machine shows to others.
func exposure(ctx context.Context, e *Examined) (found []Finding) {
	found = append(found, routes(ctx, e))
	found = append(found, adminDoor(e))
	found = append(found, space(e)...)
	found = append(found, files(e)...)
	return append(found, names(e.Warnings)...)
}

// private are the paths of ADMIN_ADDR, with what their answers have in them, wherever they come from. 421 is the admin
// door's own, for a name that it doesn't know: who chooses the name gets in.
var private = map[string][]string{
	"/metrics": {"# TYPE ", "ADMIN_ADDR answers to"},
	"/readyz":  {"ok\n", "[+]", "[-]", "ADMIN_ADDR answers to"},
	"/livez":   {"ok\n", "ADMIN_ADDR answers to"},
}

// routes asks PUBLIC_URL for what only operators should see.
func routes(ctx context.Context, e *Examined) Finding {
	public := e.Config.Install.PublicURL
	switch {
	case public == "":
		return Finding{Name: "public_routes", Status: OK, Text: "There is no PUBLIC_URL."}
	case e.Offline:
		return Finding{Name: "public_routes", Status: Unknown, Text: "PUBLIC_URL wasn't asked (--offline).",
			Fix: e.Program + " doctor, without --offline"}
	}

	ctx, cancel := context.WithTimeout(ctx, publicBudget)
	defer cancel()
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		open   []string
		away   error
	)
	for path, signs := range private {
		asking.Go(func() {
			shown, err := shows(ctx, public+path, signs)
			mu.Lock()
			defer mu.Unlock()
			if shown {
				open = append(open, path)
			}
			if err != nil {
				away = err
			}
		})
	}
	asking.Wait()

	switch {
	case len(open) > 0:
		slices.Sort(open)
		return Finding{Name: "public_routes", Status: Failed,
			Text: "Anybody can read " + strings.Join(open, ", ") + " at " + public + ".",
			Fix: "take " + strings.Join(open, ", ") + " out of what the proxy at " + public + " sends to ADMIN_ADDR (" +
				e.Config.AdminAddr + "): only LISTEN_ADDR (" + e.Config.ListenAddr + ") is for the public"}
	case away != nil:
		return Finding{Name: "public_routes", Status: Unknown, Text: "PUBLIC_URL doesn't answer: " + said(away),
			Fix: "see The public address"}
	}
	return Finding{Name: "public_routes", Status: OK, Text: "Only what is for the public is at PUBLIC_URL."}
}

// shows reports whether a page has one of these signs in it.
func shows(ctx context.Context, address string, signs []string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	page := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
	return !page && slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(string(body), sign) }), err
}

// adminDoor looks where the operators' door listens.
func adminDoor(e *Examined) Finding {
	addr := e.Config.AdminAddr
	f := Finding{Name: "admin_addr", Status: OK, Text: "ADMIN_ADDR is " + addr + "."}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return f // the settings were checked
	}

	listens := []string{host}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		listens = ownAddresses()
	}
	for _, own := range listens {
		if ip, err := netip.ParseAddr(own); err == nil && isPublic(ip) {
			return Finding{Name: "admin_addr", Status: Warning,
				Text: fmt.Sprintf("ADMIN_ADDR is %s, and this machine has the public address %s: unless a firewall is in "+
					"front of it, anybody can read /metrics.", addr, own),
				Fix: "set ADMIN_ADDR=127.0.0.1:" + port + ", or to an address of the private network"}
		}
	}
	return f
}

// ownAddresses are this machine's.
var ownAddresses = func() (all []string) {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr().String())
		}
	}
	return all
}

// isPublic reports whether an address is reached from anywhere: not this machine's, a private network's or a link's.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	carrier := netip.MustParsePrefix("100.64.0.0/10") // shared by a provider's customers (RFC 6598), and by overlays
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !carrier.Contains(ip)
}

// space looks at the disks under DATA_DIR and the SQLite file.
func space(e *Examined) (found []Finding) {
	d := e.Config.Database
	folders := []string{existing(d.DataDir)}
	if path := d.Path(); path != "" && existing(filepath.Dir(path)) != folders[0] {
		folders = append(folders, existing(filepath.Dir(path)))
	}
	for _, folder := range folders {
		found = append(found, spaceIn(e, folder))
	}
	return found
}

func spaceIn(e *Examined, folder string) Finding {
	disk, err := e.disk(folder)
	if err != nil {
		return Finding{Name: "disk", Status: Unknown, Text: "How much space is left on the disk of " + folder +
			" can't be told here: " + said(err), Fix: "df " + folder}
	}
	f := Finding{Name: "disk", Status: OK, Text: fmt.Sprintf("%s left on the disk of %s.", size(disk.Free), folder),
		Fix: "free space on the disk of " + folder + ", or make it larger"}
	switch few := !disk.NoLimit && disk.Files < fewFiles; {
	case few:
		f.Status, f.Text = Warning, fmt.Sprintf("Only %d more files fit on the disk of %s.", disk.Files, folder)
		f.Fix = "remove files on the disk of " + folder + " (df -i " + folder + ")"
	case disk.Free < noSpace:
		f.Status, f.Text = Failed, "Only "+f.Text+" When it is full, no event and no new token can be kept."
	case disk.Free < littleSpace:
		f.Status, f.Text = Warning, "Only "+f.Text
	default:
		f.Fix = ""
	}
	return f
}

// existing is the folder, or the nearest one above it that is there.
func existing(folder string) string {
	for {
		if _, err := os.Stat(folder); err == nil || filepath.Dir(folder) == folder {
			return filepath.Clean(folder)
		}
		folder = filepath.Dir(folder)
	}
}

// size is a number of bytes as people say it.
func size(bytes uint64) string {
	if bytes >= 1<<30 {
		return fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}

// files looks at who can read and write what is ours.
func files(e *Examined) (found []Finding) {
	for _, w := range e.Warnings {
		if info, err := os.Stat(".env"); w.Setting == ".env" && (err != nil || info.Mode().Perm()&0o077 != 0) {
			found = append(found, Finding{Name: "env_file", Status: Warning, Text: w.What + ".", Fix: "chmod 600 .env",
				Repair: e.private(".env")})
		}
	}

	d := e.Config.Database
	if info, err := os.Stat(d.DataDir); err == nil && info.Mode().Perm()&0o002 != 0 {
		found = append(found, Finding{Name: "data_dir", Status: Failed,
			Text: fmt.Sprintf("Anybody on this machine can change what is in %s (mode %04o).", d.DataDir, info.Mode().Perm()),
			Fix:  "chmod o-w " + d.DataDir, Repair: chmod(d.DataDir, info.Mode().Perm()&^0o002)})
	}
	if path := d.Path(); path != "" {
		for _, part := range []string{path, path + "-wal", path + "-shm"} {
			if info, err := os.Stat(part); err == nil && info.Mode().Perm()&0o077 != 0 {
				found = append(found, Finding{Name: "database_file", Status: Warning,
					Text: fmt.Sprintf("Others on this machine can read %s (mode %04o).", part, info.Mode().Perm()),
					Fix:  "chmod 600 " + part, Repair: e.private(part)})
			}
		}
	}
	if found == nil {
		found = []Finding{{Name: "files", Status: OK, Text: "No other user of this machine can get at its files."}}
	}
	return found
}

// private lets nobody but its owner get at a file. nil where the owner isn't who serves, whom that would lock out.
func (e *Examined) private(path string) func(context.Context) (string, error) {
	file, err := os.Stat(path)
	if err != nil {
		return nil
	}
	if folder, err := os.Stat(e.Config.Database.DataDir); err == nil && !sameOwner(file, folder) {
		return nil
	}
	return chmod(path, 0o600)
}

// chmod is the repair of a file's mode.
func chmod(path string, mode os.FileMode) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if err := os.Chmod(path, mode); err != nil {
			return "", err
		}
		return fmt.Sprintf("ran chmod %o %s, which had mode %04o", mode, path, info.Mode().Perm()), nil
	}
}

// names are settings that nobody knows.
func names(warnings []server.Problem) (found []Finding) {
	for _, w := range warnings {
		if w.Setting == "" {
			found = append(found, Finding{Name: "names", Status: Warning, Text: sentence(w.What), Fix: w.Fix})
		}
	}
	return found
}
