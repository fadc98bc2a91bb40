// Package cli holds what the commands of postlink share: exit codes, tables and facts for people, JSON for programs, paging,
// questions before something is destroyed, progress on a terminal, suggestions for mistyped names, and the connection to the
// API of a running postlink.
//
// Data goes to standard output, everything else to standard error. Text that strangers wrote passes through Harmless before it
// is printed. The package knows no command and no resource of the API: a command gives it columns, rows and names.
//
// An error is printed once, by main: commands return errors and never print them. Message says what is printed, ExitCode with
// which code the process ends. What a command prints as JSON is what the API answered, so that programs see one format.
package cli
