package switchboard_test

// Every link of a page to a file of this repository, or to a heading, leads somewhere.

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pageLink    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	pageHeading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	pageCode    = regexp.MustCompile("(?ms)^```.*?^```$")
)

func TestLinksOfPages(t *testing.T) {
	t.Parallel()
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}

	links := 0
	for _, page := range pages {
		for _, link := range pageLink.FindAllStringSubmatch(withoutCode(t, page), -1) {
			if strings.Contains(link[1], "://") || strings.HasPrefix(link[1], "mailto:") {
				continue
			}
			links++
			name, heading, _ := strings.Cut(link[1], "#")
			target := filepath.Join(filepath.Dir(page), filepath.FromSlash(name))
			if name == "" {
				target = page
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, link[1], err)
			} else if heading != "" && !hasHeading(t, target, heading) {
				t.Errorf("%s links to %s, which has no such heading", page, link[1])
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links in %d pages", links, len(pages))
	}
}

func withoutCode(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return pageCode.ReplaceAllString(string(text), "")
}

// hasHeading reports whether a page has a heading with an anchor, which GitHub makes of its words.
func hasHeading(t *testing.T, page, anchor string) bool {
	t.Helper()
	for _, heading := range pageHeading.FindAllStringSubmatch(withoutCode(t, page), -1) {
		words := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		if strings.ReplaceAll(strings.TrimSpace(words), " ", "-") == anchor {
			return true
		}
	}
	return false
}
