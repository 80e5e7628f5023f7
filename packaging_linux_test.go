package switchboard_test

// What the packages promise, held by what is at hand where no container engine runs: the image's file system under
// chroot, mounted as compose.yaml and Kubernetes mount it; the unit by systemd's own tools; a release that is built twice.

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// nonroot is the user of distroless images that are tagged so.
const nonroot = 65532

// dockerfile is what the image's Dockerfile says.
type dockerfile struct {
	build      string // the command that makes the program, /switchboard
	base       string // of the image itself
	env        []string
	entrypoint []string
	command    []string
	health     []string
}

func readDockerfile(t *testing.T) (d dockerfile) {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	list := func(text string) (words []string) {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return words
	}

	for line := range strings.Lines(string(text)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "FROM":
			d.base = rest
		case "RUN":
			d.build, _, _ = strings.Cut(rest, " && ")
		case "ENV":
			d.env = append(d.env, strings.Fields(rest)...)
		case "ENTRYPOINT":
			d.entrypoint = list(rest)
		case "CMD":
			d.command = list(rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			d.health = list(command)
		}
	}
	if !strings.HasSuffix(d.base, "distroless/static-debian12:nonroot") || !strings.Contains(d.build, "-o /switchboard ") {
		t.Fatalf("the Dockerfile: %+v", d)
	}
	return d
}

// container is the image's file system.
type container struct {
	t     *testing.T
	image dockerfile
	root  string
}

// newContainer builds the program as the Dockerfile does and puts it where the image has it, with the little that the
// base image brings.
func newContainer(t *testing.T) container {
	t.Helper()
	c := container{t: t, image: readDockerfile(t), root: t.TempDir()}
	build := exec.Command("sh", "-ec", strings.Replace(c.image.build, "-o /switchboard", `-o "$ROOT/switchboard"`, 1))
	build.Env = append(os.Environ(), "ROOT="+c.root, "VERSION=v1.2.3", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}

	for _, folder := range []string{"data", "dev", "etc", "proc", "tmp"} {
		if err := os.Mkdir(filepath.Join(c.root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(c.root, "data"), nonroot, nonroot); err != nil {
		t.Fatal(err)
	}
	for folder := c.root; folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil { // a test's folders are its user's alone
			t.Fatal(err)
		}
	}
	return c
}

// run starts a program of the image: as its user, with no right of root's, on a file system in which only /data can be
// written to.
func (c container) run(env []string, args ...string) *exec.Cmd {
	const script = `mount --make-rprivate /; mount --bind "$ROOT" "$ROOT"; mount --bind "$ROOT/data" "$ROOT/data"
mount -o remount,bind,ro "$ROOT"
exec env -i "$@"`
	inside := append(append([]string{}, c.image.env...), env...)
	inside = append(inside, "setpriv", "--no-new-privs", "--bounding-set=-all,+sys_chroot,+setuid,+setgid",
		"chroot", "--userspec=65532:65532", c.root)
	cmd := exec.CommandContext(c.t.Context(), "unshare",
		append([]string{"--mount", "sh", "-ec", script, "sh", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, append(inside, args...)...)...)
	cmd.Env = append(os.Environ(), "ROOT="+c.root)
	return cmd
}

// needsRoot is for tests that mount.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("only root can mount the image's file system: tests in CI do")
	}
	t.Skip("only root can mount the image's file system")
}

func TestImage(t *testing.T) {
	storagetest.Long(t) // it builds a program
	needsRoot(t)
	c := newContainer(t)
	settings := []string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "DRAIN_DELAY=0s", "LOG_FORMAT=json",
		"PUBLIC_URL=https://bot.example.com", "SLACK_CLIENT_ID=7310246958.8102937465",
		"SLACK_CLIENT_SECRET=5f1c0b7e9a3d4286b0c1d2e3f4a5b6c7", "SLACK_SIGNING_SECRET=9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a"}

	serve := c.run(settings, append(c.image.entrypoint, c.image.command...)...)
	log, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	public, admin := whereItServes(t, log)

	health := c.run([]string{"ADMIN_ADDR=" + admin}, c.image.health...)
	if out, err := health.CombinedOutput(); err != nil {
		t.Errorf("the image's health check: %v\n%s", err, out)
	}
	answer, err := http.Get("http://" + public + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the install page: %s", answer.Status)
	}

	c.onlyDataIsWritten(settings)
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if out, err := c.run([]string{"ADMIN_ADDR=" + admin}, c.image.health...).CombinedOutput(); err == nil {
		t.Errorf("the health check finds a program that is gone: %s", out)
	}
	if out, _ := c.run(nil, "/switchboard", "version").CombinedOutput(); !strings.Contains(string(out), " v1.2.3 ") {
		t.Errorf("the version in the image: %s", out)
	}
}

// whereItServes reads the log up to the addresses, and lets the rest of it run by.
func whereItServes(t *testing.T, log io.Reader) (public, admin string) {
	t.Helper()
	type addresses struct {
		Msg    string `json:"msg"`
		Listen string `json:"listen"`
		Admin  string `json:"admin"`
	}
	var all bytes.Buffer
	lines := bufio.NewScanner(io.TeeReader(log, &all))
	for lines.Scan() {
		var line addresses
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return line.Listen, line.Admin
		}
	}
	t.Fatalf("it doesn't serve:\n%s", all.String())
	return "", ""
}

// onlyDataIsWritten checks that the program's files are in /data, belong to its user and are read by nobody else, and that
// nothing else can be written to.
func (c container) onlyDataIsWritten(settings []string) {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.root, "data", "*"))
	if err != nil || len(files) < 2 {
		c.t.Fatalf("in /data: %v %v", files, err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			c.t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != nonroot || info.Mode().Perm()&0o077 != 0 {
			c.t.Errorf("%s belongs to %d, mode %v", name, owner, info.Mode())
		}
	}

	elsewhere := c.run(append(settings, "DATA_DIR=/tmp/data"), "/switchboard", "serve")
	out, err := elsewhere.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "read-only file system") {
		c.t.Errorf("with its files outside of /data: %v\n%s", err, out)
	}
}

// systemd itself reads the unit, and says how much of the machine the service can reach: 0 is nothing, 10 everything.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("systemd-analyze is not installed: tests in CI check the unit")
		}
		t.Skip("systemd-analyze is not installed")
	}

	text, err := os.ReadFile(filepath.Join("deploy", "systemd", "switchboard.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "switchboard.service")
	here := strings.Replace(string(text), "/usr/local/bin/switchboard ", "/bin/true ", 1) // it isn't installed here
	if here == string(text) {
		t.Fatal("the unit doesn't start /usr/local/bin/switchboard")
	}
	if err := os.WriteFile(unit, []byte(here), 0o644); err != nil {
		t.Fatal(err)
	}

	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err = exec.Command(analyze, "security", "--offline=true", "--threshold=15", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}

// A release has the version in it and no symbols, its sums are right, and whoever builds it again gets the same bytes.
func TestRelease(t *testing.T) {
	storagetest.Long(t) // it builds programs
	const platform = "linux/amd64"
	folders := []string{filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")}
	var sums []string
	for _, folder := range folders {
		out, err := exec.Command(filepath.Join(".ci", "release"), "v1.2.3", folder, platform).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		sums = append(sums, string(out))
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ:\n%s%s", sums[0], sums[1])
	}
	check := exec.Command("sha256sum", "--check", "SHA256SUMS")
	check.Dir = folders[0]
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command(filepath.Join(".ci", "release"), "v1.2.3", folders[0], platform).CombinedOutput(); err == nil {
		t.Errorf("a release into a folder with content: %s", out)
	}

	const name = "switchboard_1.2.3_linux_amd64"
	unpack := exec.Command("tar", "xzf", name+".tar.gz")
	unpack.Dir = folders[0]
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program := filepath.Join(folders[0], name, "switchboard")
	out, err := exec.Command(program, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "switchboard v1.2.3 ") {
		t.Errorf("version: %v %s", err, out)
	}
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if file.Section(".symtab") != nil || file.Section(".debug_info") != nil || file.Section(".interp") != nil {
		t.Error("the program has symbols, or needs a loader")
	}
}

// Whatever stops the program waits as long as the program's own worst case.
func TestPackagesWaitForTheStop(t *testing.T) {
	t.Parallel()
	const worst = 10*time.Second + 75*time.Second // DRAIN_DELAY in deploy/kubernetes, and docs/operating.md's 75 s
	for name, pattern := range map[string]string{
		"compose.yaml":                       `stop_grace_period: (\d+s)`,
		"deploy/systemd/switchboard.service": `TimeoutStopSec=(\d+s)`,
		"deploy/kubernetes/switchboard.yaml": `terminationGracePeriodSeconds: (\d+)`,
		"deploy/kubernetes/sqlite.yaml":      `terminationGracePeriodSeconds: (\d+)`,
	} {
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
		if found == nil {
			t.Errorf("%s doesn't say how long it waits", name)
			continue
		}
		if wait, err := time.ParseDuration(strings.TrimSuffix(found[1], "s") + "s"); err != nil || wait < worst {
			t.Errorf("%s waits %s; a stop can take %s", name, found[1], worst)
		}
	}
}
