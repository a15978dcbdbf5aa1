//! Plots as SVG, written by hand: colours come from the style of the page.

use super::html::escape;
use super::scale::{Scale, short};

/// The size of a plot, and what is left for the axes.
const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 46.0;

/// The height of a bar with its gap, and how much of the width it may take.
const BAR: f64 = 22.0;
const BAR_LABELS: f64 = 200.0;
const BAR_FIGURES: f64 = 90.0;

/// One line of a plot.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    /// Its name, which is also its class in the style.
    pub(super) name: &'a str,
    /// From left to right. What is not finite is left out.
    pub(super) points: Vec<(f64, f64)>,
}

/// What the axes say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes<'a> {
    pub(super) title: &'a str,
    pub(super) across: &'a str,
    pub(super) up: &'a str,
    /// What the plot shows of the values; all of them unless said.
    pub(super) range: Option<(f64, f64)>,
    /// A level to be drawn through, with its name.
    pub(super) level: Option<(f64, &'a str)>,
}

/// Lines over time; nothing when no line has a point.
pub(super) fn lines(axes: &Axes<'_>, lines: &[Line<'_>]) -> String {
    let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
    let points = || lines.iter().flat_map(|line| &line.points).filter(|point| finite(point));
    let Some(values) = axes.range.or_else(|| range(points().map(|(_, y)| *y))) else {
        return String::new();
    };
    let ends = lines.iter().filter_map(|line| line.points.iter().rfind(|point| finite(point)));
    let (Some(times), Some(across)) =
        (range(ends.map(|(x, _)| *x)), range(points().map(|(x, _)| *x).filter(|x| *x > 0.0)))
    else {
        return String::new();
    };
    let across = Scale::of_times(times, across, (0.0, WIDTH - LEFT - RIGHT));
    let up = Scale::linear(values, (HEIGHT - TOP - BOTTOM, 0.0));
    let drawn: String = lines.iter().map(|line| path(line, &across, &up)).collect();
    let level = axes.level.map_or(String::new(), |(level, name)| {
        let y = up.place(level);
        let wide = WIDTH - LEFT - RIGHT;
        format!(
            "<path class=\"level\" d=\"M0 {y:.1}L{wide:.1} {y:.1}\"><title>{}</title></path>\n",
            escape(name)
        )
    });
    let (wide, high) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    // An inner svg shows nothing outside its own box.
    format!(
        "<figure>\n<figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" \
         role=\"img\" aria-label=\"{}\">\n{}{}<svg x=\"{LEFT:.0}\" y=\"{TOP:.0}\" \
         width=\"{wide:.0}\" height=\"{high:.0}\">\n{level}{drawn}</svg>\n</svg>\n{}</figure>\n",
        escape(axes.title),
        escape(axes.title),
        marks_across(&across, axes.across),
        marks_up(&up, axes.up),
        legend(lines, axes.level)
    )
}

/// The least and the largest of some numbers.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let widen = |held: Option<(f64, f64)>, value: f64| match held {
        None => Some((value, value)),
        Some((least, most)) => Some((least.min(value), most.max(value))),
    };
    values.fold(None, widen)
}

fn path(line: &Line<'_>, across: &Scale, up: &Scale) -> String {
    let mut drawn = String::new();
    let mut last = f64::NEG_INFINITY;
    let finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let mut points = line.points.iter().filter(finite).peekable();
    while let Some((x, y)) = points.next() {
        let place = across.place(*x);
        // Points that nobody could tell apart are left out, but for the last.
        if place - last < 1.0 && points.peek().is_some() {
            continue;
        }
        last = place;
        let command = if drawn.is_empty() { 'M' } else { 'L' };
        drawn += &format!("{command}{place:.1} {:.1}", up.place(*y));
    }
    let (class, name) = (escape(line.name), escape(line.name));
    match drawn.is_empty() {
        true => drawn,
        false => format!("<path class=\"{class}\" d=\"{drawn}\"><title>{name}</title></path>\n"),
    }
}

fn marks_across(scale: &Scale, name: &str) -> String {
    let (top, bottom) = (TOP, HEIGHT - BOTTOM);
    let mark = |(value, place): (f64, f64)| {
        let x = LEFT + place;
        format!(
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.0}\" y2=\"{bottom:.0}\"/>\
             <text class=\"middle\" x=\"{x:.1}\" y=\"{:.0}\">{}</text>\n",
            bottom + 17.0,
            short(value)
        )
    };
    let marks: String = scale.marks().into_iter().map(mark).collect();
    let (x, y) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0);
    format!("{marks}<text class=\"middle\" x=\"{x:.0}\" y=\"{y:.0}\">{}</text>\n", escape(name))
}

fn marks_up(scale: &Scale, name: &str) -> String {
    let right = WIDTH - RIGHT;
    let mark = |(value, place): (f64, f64)| {
        let y = TOP + place;
        format!(
            "<line class=\"grid\" x1=\"{LEFT:.0}\" x2=\"{right:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"end\" x=\"{:.0}\" y=\"{:.1}\">{}</text>\n",
            LEFT - 6.0,
            y + 4.0,
            short(value)
        )
    };
    let marks: String = scale.marks().into_iter().map(mark).collect();
    let y = (TOP + HEIGHT - BOTTOM) / 2.0;
    format!(
        "{marks}<text class=\"middle\" transform=\"translate(14 {y:.0}) rotate(-90)\">{}</text>\n",
        escape(name)
    )
}

fn legend(lines: &[Line<'_>], level: Option<(f64, &str)>) -> String {
    let entry = |(class, name): (&str, &str)| {
        let (class, name) = (escape(class), escape(name));
        format!(
            "<li><svg class=\"swatch\" viewBox=\"0 0 24 6\"><path class=\"{class}\" d=\"M0 3L24 \
             3\"/></svg>{name}</li>\n"
        )
    };
    let drawn = lines.iter().filter(|line| !line.points.is_empty());
    let names = drawn.map(|line| (line.name, line.name));
    let level = level.map(|(_, name)| ("level", name));
    let entries: String = names.chain(level).map(entry).collect();
    format!("<ul class=\"legend\">\n{entries}</ul>\n")
}

/// One bar, of parts that follow each other.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    /// The class of each part in the style, and how long it is, 0 or more.
    pub(super) parts: Vec<(&'static str, f64)>,
    /// What stands behind it.
    pub(super) figure: String,
}

/// Bars beneath each other, all to one scale up to `most`; `parts` names what they are made of.
pub(super) fn bars(title: &str, most: f64, parts: &[(&str, &str)], bars: &[Bar]) -> String {
    let height = BAR * bars.len() as f64 + 4.0;
    let room = WIDTH - BAR_LABELS - BAR_FIGURES;
    let length = |value: f64| {
        let part = value / most;
        if part.is_finite() { part.clamp(0.0, 1.0) * room } else { 0.0 }
    };
    let bar = |(row, bar): (usize, &Bar)| {
        let y = BAR * row as f64 + 2.0;
        let text = y + 14.0;
        let mut x = BAR_LABELS;
        let mut drawn = String::new();
        for (class, value) in &bar.parts {
            let wide = length(*value);
            drawn += &format!(
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.0}\" width=\"{wide:.1}\" \
                 height=\"{:.0}\"/>",
                BAR - 5.0
            );
            x += wide;
        }
        format!(
            "<text class=\"end\" x=\"{:.0}\" y=\"{text:.0}\">{}</text>{drawn}<text \
             x=\"{:.1}\" y=\"{text:.0}\">{}</text>\n",
            BAR_LABELS - 8.0,
            escape(&bar.name),
            x + 6.0,
            escape(&bar.figure)
        )
    };
    let drawn: String = bars.iter().enumerate().map(bar).collect();
    let part = |(class, name): &(&str, &str)| {
        format!(
            "<li><svg class=\"swatch\" viewBox=\"0 0 24 6\"><rect class=\"{class}\" width=\"24\" \
             height=\"6\"/></svg>{}</li>\n",
            escape(name)
        )
    };
    let legend: String = parts.iter().map(part).collect();
    let title = escape(title);
    format!(
        "<figure>\n<figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" \
         role=\"img\" aria-label=\"{title}\">\n{drawn}</svg>\n<ul \
         class=\"legend\">\n{legend}</ul>\n\
         </figure>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXES: Axes<'_> =
        Axes { title: "a < b", across: "s", up: "loss", range: None, level: None };

    fn line(points: Vec<(f64, f64)>) -> Line<'static> {
        Line { name: "asp", points }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(lines(&AXES, &[]), "");
        assert_eq!(lines(&AXES, &[line(vec![])]), "");
        assert_eq!(lines(&AXES, &[line(vec![(1.0, f64::NAN), (f64::INFINITY, 1.0)])]), "");
    }

    #[test]
    fn points_that_nobody_could_tell_apart_are_left_out() {
        let many = (0..=100_000).map(|i| (f64::from(i), 1.0 / f64::from(i + 1))).collect();
        let drawn = lines(&AXES, &[line(many)]);
        let count = drawn.matches('L').count();
        assert!((500..800).contains(&count), "{count}");
        assert!(drawn.len() < 20_000, "{}", drawn.len());
    }

    #[test]
    fn values_that_are_not_finite_leave_the_rest() {
        let points = vec![(0.0, 2.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, f64::INFINITY)];
        let drawn = lines(&AXES, &[line(points)]);
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert!(drawn.contains("a &lt; b"), "{drawn}");
        assert_eq!(drawn.matches("<path class=\"asp\"").count(), 2, "line and legend");
    }

    #[test]
    fn bars_are_to_one_scale_and_never_leave_the_plot() {
        let bar = |value| Bar {
            name: "<lan>".into(),
            parts: vec![("data", value)],
            figure: "1 kB".into(),
        };
        let drawn = bars("t", 10.0, &[("data", "values")], &[bar(5.0), bar(20.0), bar(f64::NAN)]);
        for wide in ["width=\"195.0\"", "width=\"390.0\"", "width=\"0.0\""] {
            assert!(drawn.contains(wide), "{wide} in {drawn}");
        }
        assert!(drawn.contains("&lt;lan&gt;") && !drawn.contains("NaN"), "{drawn}");
    }
}
