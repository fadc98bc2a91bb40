package cli

// Layout is a whole table as it stands on a terminal of so many columns; 0 is no terminal.
func Layout(columns []Column, rows [][]string, terminal int) string {
	l := newLayout(columns, rows, terminal)
	text := l.head()
	for _, row := range rows {
		text += l.line(row)
	}
	return text
}

// FactLines are facts as they stand on a terminal of so many columns.
var FactLines = factLines
