package connection

// A token that is printed by accident ends up in somebody's log search, so secrets have a type that will not print.

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a token, key or address that gives access. Every way of printing, logging or encoding it says "[secret]".
// Fields of this type must be exported: fmt reads unexported fields without asking their methods.
type Secret string

const hidden = "[secret]"

// Reveal returns the secret itself, for the one call that needs it.
func (s Secret) Reveal() string { return string(s) }

// String says "[secret]", or nothing when there is none.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format covers every verb, also %d and %x, which would print the bytes. (%p asks no method; go vet refuses it here.)
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is what slog prints.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what encoders print.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
