package cli

// completion: what the Tab key offers. The script of each shell only asks the program, so it fits every release, and
// every app.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says where the script goes.
func (*completionCmd) Help() string {
	return "bash: add this line to ~/.bashrc: source <(PROGRAM completion bash). " +
		"zsh: add this line to ~/.zshrc, after compinit: source <(PROGRAM completion zsh). " +
		"fish: write it into ~/.config/fish/completions/PROGRAM.fish."
}

// In each, FUNCTION is a name made of the program's, and PROGRAM is the program's, quoted. A lone colon asks for names
// of files.
var completionScripts = map[string]string{
	// Bash 3.2, which macOS has, knows no mapfile and no compopt.
	"bash": `FUNCTION() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]/#\~/$HOME}" __complete bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    if [ "${COMPREPLY[0]}" = : ]; then
        COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}"))
        compopt -o filenames 2>/dev/null
    fi
}
complete -F FUNCTION PROGRAM
`,
	"zsh": `#compdef PROGRAM
FUNCTION() {
    local -a found
    found=("${(@f)$("${words[1]/#\~/$HOME}" __complete zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $found[1] == : ]]; then
        _files
    elif [[ -n $found[1] ]]; then
        _describe PROGRAM found
    fi
}
if [[ $funcstack[1] == FUNCTION ]]; then FUNCTION "$@"; else compdef FUNCTION PROGRAM; fi
`,
	"fish": `function FUNCTION
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l found ($words[1] __complete fish -- $words[2..-1] "$last" 2>/dev/null)
    if test "$found" = :
        __fish_complete_path "$last"
    else
        printf '%s\n' $found
    end
end
complete -c PROGRAM -f -a '(FUNCTION)'
`,
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9]`)

// Run prints the script.
func (c *completionCmd) Run(env *environment) error {
	_, err := strings.NewReplacer(
		"FUNCTION", "_complete_"+notInNames.ReplaceAllString(env.name, "_"),
		"PROGRAM", "'"+strings.ReplaceAll(env.name, "'", `'\''`)+"'",
	).WriteString(env.stdout, completionScripts[c.Shell])
	return err
}

// completeCmd answers the scripts.
type completeCmd struct {
	Shell string   `arg:"" enum:"bash,zsh,fish"`
	Words []string `arg:"" help:"What was typed behind the program's name. The last one is where Tab was pressed."`
}

// Run prints what the last word may become, one a line, and a lone colon where that is a file.
func (c *completeCmd) Run(env *environment, parsed *kong.Context) error {
	words := c.Words
	if c.Shell == "bash" {
		words = rejoined(words)
	}

	for _, x := range choices(parsed.Model.Node, words) {
		line := x.word
		switch c.Shell {
		case "bash": // which takes what is behind = for a word
			if strings.HasPrefix(line, "--") {
				line = line[strings.Index(line, "=")+1:]
			}
		case "zsh":
			line = strings.ReplaceAll(line, ":", `\:`) + ":" + x.about
		case "fish":
			line += "\t" + x.about
		}
		if x.word == anyFile.word {
			line = x.word
		}
		if _, err := fmt.Fprintln(env.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// rejoined puts --name=value together again, which bash takes for three words.
func rejoined(words []string) (all []string) {
	for i := 0; i < len(words); i++ {
		if last := len(all) - 1; words[i] == "=" && last >= 0 && strings.HasPrefix(all[last], "--") {
			all[last] += "="
			if i++; i < len(words) {
				all[last] += words[i]
			}
			continue
		}
		all = append(all, words[i])
	}
	return all
}

// choice is what a word may become, and what that does.
type choice struct{ word, about string }

// anyFile is the only choice where a file is wanted.
var anyFile = choice{word: ":"}

// choices are what the last of words may become in a call of root.
func choices(root *kong.Node, words []string) (found []choice) {
	node, position, value := root, 0, (*kong.Value)(nil)
	last := words[len(words)-1]
	for _, word := range words[:len(words)-1] {
		flag := flagOf(node, word)
		switch child := childOf(node, word); {
		case value != nil: // it is the value of the flag before it
			value = nil
		case flag != nil && !flag.IsBool():
			value = flag.Value
		case strings.HasPrefix(word, "-"):
		case child == nil:
			position++
		case child.Name != "help": // which explains the command behind it
			node = child
		}
	}

	prefix := ""
	if name, rest, ok := strings.Cut(last, "="); ok && value == nil {
		if flag := flagOf(node, name); flag != nil {
			value, prefix, last = flag.Value, name+"=", rest
		}
	}
	switch {
	case value != nil:
		found = valuesOf(value)
	case strings.HasPrefix(last, "-"):
		found = flagsOf(node)
	default:
		found = commandsOf(node)
		if position < len(node.Positional) {
			found = append(found, valuesOf(node.Positional[position])...)
		}
	}

	if slices.Contains(found, anyFile) {
		return []choice{anyFile}
	}
	found = slices.DeleteFunc(found, func(x choice) bool { return !strings.HasPrefix(x.word, last) })
	for i := range found {
		found[i].word = prefix + found[i].word
	}
	return found
}

func childOf(node *kong.Node, name string) *kong.Node {
	i := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == name })
	if i < 0 {
		return nil
	}
	return node.Children[i]
}

// flagOf is the flag that is typed as --name.
func flagOf(node *kong.Node, typed string) *kong.Flag {
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			if typed == "--"+flag.Name {
				return flag
			}
		}
	}
	return nil
}

func flagsOf(node *kong.Node) (all []choice) {
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			all = append(all, choice{"--" + flag.Name, flag.Help})
		}
	}
	return all
}

func commandsOf(node *kong.Node) (all []choice) {
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, choice{child.Name, child.Help})
		}
	}
	return all
}

// valuesOf are what a flag or an argument can be, if that is known.
func valuesOf(value *kong.Value) (all []choice) {
	wants := value.Name
	if value.Flag != nil {
		wants = value.Flag.PlaceHolder
	}
	for word := range strings.SplitSeq(strings.ToUpper(wants), "|") {
		if slices.Contains([]string{"FILE", "FOLDER", "DIR"}, word) {
			return []choice{anyFile}
		}
	}

	if value.Enum != "" {
		for word := range strings.SplitSeq(value.Enum, ",") {
			all = append(all, choice{word: strings.TrimSpace(word)})
		}
	}
	return all
}
